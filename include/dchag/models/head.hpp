#pragma once

#include <dchag/core/context.hpp>
#include <dchag/layers/gelu.hpp>
#include <dchag/layers/linear.hpp>
#include <deque>
#include <string>
#include <vector>

namespace dchag {

/// `depth` times Linear and GELU of one width, then a Linear to `out`: parameters head.0, head.2, ... as of a sequence
/// in which the GELUs are numbered too. Keeps each GELU's input.
template <class T, class Space>
class Head {
 public:
  using Rows = linalg::Matrix<T>;

  Head(Parameters<T, Space>& parameters, Index embed, Index depth, Index out)
      : parameters_(&parameters), unit_(parameters.begin_unit("head")), embed_(embed), out_(out) {
    for (Index i = 0; i <= depth; ++i)
      layers_.emplace_back(parameters, "head." + std::to_string(2 * i), embed, i < depth ? embed : out);
    inputs_.resize(static_cast<std::size_t>(depth), Rows(nullptr, 0, 0));
  }

  /// x [rows, embed] to y [rows, out]; pushes what backward needs, which the caller releases.
  void forward(Context<Space> const& context, Rows x, Rows y) {
    Region region("dchag::head::forward");
    auto const use = parameters_->use(context, unit_, Pass::forward);
    for (Rows& input : inputs_) input = push(context, x.rows);
    auto scope = context.workspace().scope();
    Rows const activation = push(context, x.rows);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      layers_[i].forward(context, i == 0 ? x : activation, inputs_[i]);
      layers::gelu<Space, T>(context, inputs_[i], activation);
    }
    layers_.back().forward(context, inputs_.empty() ? x : activation, y);
  }

  /// From the gradient of y that of x is written to dx, which may be x; those of the parameters are added.
  void backward(Context<Space> const& context, Rows x, Rows dy, Rows dx) {
    Region region("dchag::head::backward");
    auto const use = parameters_->use(context, unit_, Pass::backward);
    auto scope = context.workspace().scope();
    layers_.back().bias_backward(context, dy);
    Rows gradient = dy;
    for (std::size_t i = inputs_.size(); i > 0; --i) {
      Rows const below = push(context, x.rows);
      layers_[i].input_backward(context, gradient, below);
      layers::gelu_backward(context, inputs_[i - 1], below, layers_[i - 1].bias().gradients);
      layers_[i].weight_backward(context, inputs_[i - 1], gradient);
      gradient = below;
    }
    layers_.front().weight_backward(context, x, gradient);
    layers_.front().input_backward(context, gradient, dx);
  }

  Index out() const { return out_; }

 private:
  Rows push(Context<Space> const& context, Index rows) const {
    return context.workspace().template push<T**>(rows, embed_);
  }

  Parameters<T, Space> const* parameters_;
  Index unit_, embed_, out_;
  std::deque<layers::Linear<T, Space>> layers_;
  std::vector<Rows> inputs_;  // of the GELUs
};

}  // namespace dchag
