#pragma once

#include <dchag/layers/dropout.hpp>
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
      : Mlp(parameters, name, width, hidden, {width, hidden}, {hidden, width}) {}

  /// width and hidden of the whole, and what this rank holds of fc1 and fc2.
  Mlp(Parameters<T, Space>& parameters, std::string const& name, Index width, Index hidden, LinearShare const& fc1,
      LinearShare const& fc2)
      : fc1_(parameters, name + ".fc1", width, hidden, fc1), fc2_(parameters, name + ".fc2", hidden, width, fc2) {}

  /// y += fc2(gelu(fc1(x)))
  void add_forward(Context<Space> const& context, ConstRows x, Rows y) {
    keep(context, x.rows);
    enter(context, x);
    auto scope = context.workspace().scope();
    fc2_.add_forward(context, activate(context), y);
  }

  /// The steps of add_forward, for an x that lies above what is kept and for sums that are not this layer's business.
  void keep(Context<Space> const& context, Index rows) {
    hidden_ = context.workspace().template push<T**>(rows, fc1_.out());
  }
  void enter(Context<Space> const& context, ConstRows x) const { fc1_.forward(context, x, hidden_); }
  /// Pushes gelu(fc1(x)) [rows, hidden], which fc2() takes.
  Rows activate(Context<Space> const& context) const {
    Rows const hidden = hidden_, active = context.workspace().template push<T**>(hidden.rows, hidden.columns);
    gelu<Space, T>(context, hidden, active);
    return active;
  }
  Linear<T, Space> const& fc2() const { return fc2_; }

  /// Writes dx, which may be where x is, and adds to the gradients of all parameters. What forward kept is used up.
  void backward(Context<Space> const& context, ConstRows x, ConstRows dy, Rows dx) const {
    backward(context, x, dy, dy, dx);
  }
  /// The same; only rows `own` of dy add to the gradient of fc2's bias. Where there is a mask, gelu(fc1(x)) was dropped
  /// by it.
  void backward(Context<Space> const& context, ConstRows x, ConstRows dy, ConstRows own, Rows dx,
                DropoutMask<T> const* mask = nullptr) const {
    auto scope = context.workspace().scope();
    auto const slope = context.workspace().template push<T**>(x.rows, fc1_.out());
    fc2_.input_backward(context, dy, slope);
    if (mask != nullptr) drop(context, *mask, Rows(slope), Rows(slope));
    gelu_backward(context, Rows(hidden_), Rows(slope), fc1_.bias().gradients);
    if (mask != nullptr) drop(context, *mask, Rows(hidden_), Rows(hidden_));
    fc2_.weight_backward(context, Rows(hidden_), dy);
    fc2_.bias_backward(context, own);
    fc1_.weight_backward(context, x, Rows(slope));
    fc1_.input_backward(context, Rows(slope), dx);
  }

 private:
  Linear<T, Space> fc1_, fc2_;
  View<T**, Space> hidden_;  // [rows, hidden]: fc1(x); after backward gelu(fc1(x)), dropped
};

}  // namespace dchag::layers
