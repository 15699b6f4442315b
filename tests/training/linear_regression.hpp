#pragma once

// A model small enough to check by hand: y = x W^T + b with the mean squared error over all outputs. Its two parameters
// are shard units of their own.
#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstdint>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/reduce.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/training/loss.hpp>
#include <functional>
#include <string>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

template <class T, class Space>
struct RegressionBatch {
  using Matrix = Kokkos::View<T**, Kokkos::LayoutRight, typename Space::device_type>;
  Matrix x, target;  // [images, inputs], [images, outputs]

  Index size() const { return static_cast<Index>(x.extent(0)); }
};

template <class T, class Space_>
class LinearRegression {
 public:
  using Scalar = T;
  using Space = Space_;
  using Batch = RegressionBatch<T, Space>;

  LinearRegression(Mesh const& mesh, Index inputs, Index outputs, std::uint64_t seed = 1)
      : mesh_(mesh), inputs_(inputs), outputs_(outputs) {
    parameters_.begin_unit("weight");
    weight_ = &parameters_.add("layer.weight", {outputs, inputs}, normal(0.5));
    parameters_.begin_unit("bias");
    bias_ = &parameters_.add("layer.bias", {outputs}, normal(0.5));
    parameters_.allocate(seed);
  }

  Parameters<T, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }
  std::string config_json() const {
    return R"({"task":"regression","inputs":)" + std::to_string(inputs_) + R"(,"head":{"outputs":)" +
           std::to_string(outputs_) + "}}";
  }

  double gradients(Context<Space> const& context, Batch const& batch, double weight) {
    auto scope = context.workspace().scope();
    auto const y = forward(context, batch), hidden = ones(context, batch.size());
    double const loss = masked_mse(context, y, batch.target, hidden, weight, y);
    linalg::Matrix<T> const gradient(y);
    linalg::gemm(context, linalg::Op::transpose, linalg::Op::none, T{1}, gradient, linalg::Matrix<T>(batch.x), T{1},
                 linalg::Matrix<T>(weight_->gradients, outputs_, inputs_));
    linalg::add_column_sums(context, gradient, bias_->gradients);
    return loss;
  }

  double evaluate(Context<Space> const& context, Batch const& batch) {
    auto scope = context.workspace().scope();
    auto const y = forward(context, batch), hidden = ones(context, batch.size());
    return masked_mse(context, y, batch.target, hidden);
  }

 private:
  View<T*, Space> ones(Context<Space> const& context, Index count) {
    auto const hidden = context.workspace().template push<T*>(count);
    context.fill(hidden, T{1});
    return hidden;
  }
  View<T**, Space> forward(Context<Space> const& context, Batch const& batch) {
    auto const y = context.workspace().template push<T**>(batch.size(), outputs_);
    context.fill(y, T{0});
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, linalg::Matrix<T>(batch.x),
                 linalg::Matrix<T>(weight_->values, outputs_, inputs_), T{0}, linalg::Matrix<T>(y));
    for (Index column = 0; column < outputs_; ++column) {
      auto const values = y;
      auto const bias = bias_->template value<T*>(outputs_);
      add_bias(context, values, bias, column);
    }
    return y;
  }
  static void add_bias(Context<Space> const& context, View<T**, Space> y, View<T*, Space> bias, Index column) {
    context.loop("test::bias", static_cast<Index>(y.extent(0)), [=](Index row) { y(row, column) += bias(column); });
  }

  Mesh mesh_;
  Index inputs_, outputs_;
  Parameters<T, Space> parameters_;
  Parameter<T, Space>*weight_, *bias_;
};

/// Images first .. first + count of an endless, always equal supply.
template <class T, class Space>
RegressionBatch<T, Space> regression_batch(Index first, Index count, Index inputs, Index outputs) {
  using Batch = RegressionBatch<T, Space>;
  Batch const batch{typename Batch::Matrix("x", count, inputs), typename Batch::Matrix("target", count, outputs)};
  auto const x = Kokkos::create_mirror_view(batch.x), target = Kokkos::create_mirror_view(batch.target);
  for (Index image = 0; image < count; ++image) {
    for (Index i = 0; i < inputs; ++i)
      x(image, i) = static_cast<T>(std::sin(1.3 * double(first + image) + 2.1 * double(i)));
    for (Index o = 0; o < outputs; ++o)
      target(image, o) = static_cast<T>(std::cos(0.7 * double(first + image) - double(o)));
  }
  Kokkos::deep_copy(batch.x, x);
  Kokkos::deep_copy(batch.target, target);
  return batch;
}

/// All numbers of the values, or of the gradients, of a model's parameters.
template <class Model>
std::vector<typename Model::Scalar> numbers_of(Model& model, bool gradients = false) {
  std::vector<typename Model::Scalar> numbers;
  for (auto const& unit : model.parameters().units()) {
    auto const host =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), gradients ? unit.gradients : unit.values);
    numbers.insert(numbers.end(), host.data(), host.data() + host.size());
  }
  return numbers;
}

}  // namespace dchag::tests
