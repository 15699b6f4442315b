#pragma once

#include <cmath>
#include <dchag/core/parameters.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/reduce.hpp>
#include <string>

namespace dchag::layers {

/// What a rank holds of a Linear: features that come in and go out, and where its parameters stand.
struct LinearShare {
  Index in, out;
  Placement weight{}, bias{};
};

/// y = x W^T + b for rows x [rows, in], y [rows, out]; parameters `name.weight` [out, in] and `name.bias` [out].
/// Weights start normal with variance 2 / (in + out) (Glorot and Bengio, 2010), biases zero.
///
/// Nothing is kept: backward is given x again.
///
/// Where a rank holds a share of the parameters, `in` and `out` are its own features: a Linear among those.
template <class T, class Space>
class Linear {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  Linear(Parameters<T, Space>& parameters, std::string const& name, Index in, Index out)
      : Linear(parameters, name, in, out, {in, out}) {}

  /// in and out of the whole, and what this rank holds of it.
  Linear(Parameters<T, Space>& parameters, std::string const& name, Index in, Index out, LinearShare const& held)
      : in_(held.in),
        out_(held.out),
        weight_(&parameters.add(name + ".weight", {out, in}, normal(std::sqrt(2.0 / static_cast<double>(in + out))),
                                held.weight)),
        bias_(&parameters.add(name + ".bias", {out}, constant(0), held.bias)) {}

  Index in() const { return in_; }
  Index out() const { return out_; }
  Parameter<T, Space>& weight() const { return *weight_; }
  Parameter<T, Space>& bias() const { return *bias_; }

  /// y = x W^T + b
  void forward(Context<Space> const& context, ConstRows x, Rows y) const {
    add_bias(context, y, T{0});
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, x, value(), T{1}, y);
  }

  /// y += x W^T + b
  void add_forward(Context<Space> const& context, ConstRows x, Rows y) const {
    add_bias(context, y, T{1});
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, x, value(), T{1}, y);
  }

  /// y = x W^T
  void product(Context<Space> const& context, ConstRows x, Rows y) const {
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, x, value(), T{0}, y);
  }

  /// Adds to the gradients of both parameters and writes dx = dy W, which may be where x was.
  void backward(Context<Space> const& context, ConstRows x, ConstRows dy, Rows dx) const {
    parameters_backward(context, x, dy);
    input_backward(context, dy, dx);
  }

  void parameters_backward(Context<Space> const& context, ConstRows x, ConstRows dy) const {
    weight_backward(context, x, dy);
    bias_backward(context, dy);
  }
  void weight_backward(Context<Space> const& context, ConstRows x, ConstRows dy) const {
    Rows const gradient(weight_->gradients, out_, in_);
    linalg::gemm(context, linalg::Op::transpose, linalg::Op::none, T{1}, dy, x, T{1}, gradient);
  }
  void bias_backward(Context<Space> const& context, ConstRows dy) const {
    linalg::add_column_sums(context, dy, bias_->gradients);
  }
  /// dx = dy W + beta dx
  void input_backward(Context<Space> const& context, ConstRows dy, Rows dx, T beta = T{0}) const {
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, T{1}, dy, value(), beta, dx);
  }

  /// y = beta y + b, with beta 0 or 1.
  void add_bias(Context<Space> const& context, Rows y, T beta) const {
    T* const to = y.data;
    T const* const bias = bias_->values;
    Index const stride = y.stride, columns = y.columns;
    bool const adds = beta != T{0};
    row_loop<T>(
        context, "dchag::linear::bias", y.rows,
        KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
          T* const at = to + r * stride;
          if (adds)
            row.each(columns, [&]<class L>(Index j) { store(at + j, load<L>(at + j) + load<L>(bias + j)); });
          else
            row.each(columns, [&]<class L>(Index j) { store(at + j, load<L>(bias + j)); });
        },
        moves<T>(y.rows * columns * (adds ? 2 : 1)));
  }

 private:
  ConstRows value() const { return {weight_->values, out_, in_}; }

  Index in_, out_;
  Parameter<T, Space>*weight_, *bias_;
};

}  // namespace dchag::layers
