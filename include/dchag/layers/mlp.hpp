#pragma once

#include <dchag/layers/gelu.hpp>
#include <dchag/layers/linear.hpp>
#include <string>

namespace dchag::layers {

/// fc2(gelu(fc1(x))) for rows x [rows, width]; parameters `name.fc1.*` [hidden, width] and `name.fc2.*` [width,
/// hidden]. Keeps what goes into the GELU [rows, hidden]; whoever calls forward releases it.
template <class T, class Space>
class Mlp {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  Mlp(Parameters<T, Space>& parameters, std::string const& name, Index width, Index hidden)
      : fc1_(parameters, name + ".fc1", width, hidden), fc2_(parameters, name + ".fc2", hidden, width) {}

  /// y += fc2(gelu(fc1(x)))
  void add_forward(Context<Space> const& context, ConstRows x, Rows y) {
    keep(context, x.rows);
    add_result(context, x, y);
  }

  /// The two halves of add_forward, for an x that lies above what is kept.
  void keep(Context<Space> const& context, Index rows) {
    hidden_ = context.workspace().template push<T**>(rows, fc1_.out());
  }
  void add_result(Context<Space> const& context, ConstRows x, Rows y) const {
    fc1_.forward(context, x, hidden_);
    auto scope = context.workspace().scope();
    auto const active = context.workspace().template push<T**>(x.rows, fc1_.out());
    gelu<Space, T>(context, Rows(hidden_), active);
    fc2_.add_forward(context, Rows(active), y);
  }

  /// Writes dx, which may be where x is, and adds to the gradients of all parameters. What forward kept is used up.
  void backward(Context<Space> const& context, ConstRows x, ConstRows dy, Rows dx) const {
    auto scope = context.workspace().scope();
    auto const slope = context.workspace().template push<T**>(x.rows, fc1_.out());
    fc2_.input_backward(context, dy, slope);
    gelu_backward(context, Rows(hidden_), Rows(slope), fc1_.bias().gradients);
    fc2_.parameters_backward(context, Rows(hidden_), dy);
    fc1_.weight_backward(context, x, Rows(slope));
    fc1_.input_backward(context, Rows(slope), dx);
  }

 private:
  Linear<T, Space> fc1_, fc2_;
  View<T**, Space> hidden_;  // [rows, hidden]: fc1(x); after backward gelu(fc1(x))
};

}  // namespace dchag::layers
