#pragma once

#include <dchag/core/error.hpp>
#include <dchag/layers/attention.hpp>
#include <dchag/layers/layer_norm.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/layers/mlp.hpp>
#include <string>

namespace dchag::layers {

/// Pre-norm transformer block, in place on the residual stream: x += proj(attention(qkv(norm1(x)))), then
/// x += mlp(norm2(x)). Parameters `name.norm1.*`, `name.attn.qkv.*`, `name.attn.proj.*`, `name.norm2.*`,
/// `name.mlp.fc1.*`, `name.mlp.fc2.*`. Keeps 6 width + hidden + heads + 2 numbers a row (10 width + heads + 2 where
/// hidden = 4 width).
template <class T, class Space>
class Block {
 public:
  using Rows = linalg::Matrix<T>;

  /// `heads` divides `width`.
  Block(Parameters<T, Space>& parameters, std::string const& name, Index width, Index heads, Index hidden)
      : width_(width),
        norm1_(parameters, name + ".norm1", width),
        qkv_(parameters, name + ".attn.qkv", width, 3 * width),
        attention_(heads, width / heads),
        proj_(parameters, name + ".attn.proj", width, width),
        norm2_(parameters, name + ".norm2", width),
        mlp_(parameters, name + ".mlp", width, hidden) {}

  /// x [images * locations, width] becomes the block's result. What is kept stays on the workspace until backward.
  void forward(Context<Space> const& context, Rows x, Index images) {
    Region region("dchag::block::forward");
    auto& workspace = context.workspace();
    mark_ = workspace.mark();
    norm1_.keep(context, x.rows);
    projected_ = workspace.template push<T**>(x.rows, 3 * width_);
    {
      auto scope = workspace.scope();
      auto const normalized = workspace.template push<T**>(x.rows, width_);
      norm1_.normalize(context, x, normalized);
      qkv_.forward(context, Rows(normalized), projected_);
    }
    attended_ = workspace.template push<T**>(x.rows, width_);
    attention_.forward(context, Rows(projected_), attended_, images);
    proj_.add_forward(context, Rows(attended_), x);
    middle_mark_ = workspace.mark();
    norm2_.keep(context, x.rows);
    mlp_.keep(context, x.rows);
    auto scope = workspace.scope();
    auto const normalized = workspace.template push<T**>(x.rows, width_);
    norm2_.normalize(context, x, normalized);
    mlp_.add_result(context, Rows(normalized), x);
  }

  /// g, the gradient of the result, becomes that of the input; the gradients of all parameters are added to.
  void backward(Context<Space> const& context, Rows g) {
    Region region("dchag::block::backward");
    auto& workspace = context.workspace();
    {
      Rows const normalized = workspace.template push<T**>(g.rows, width_);
      norm2_.recall(context, normalized);
      mlp_.backward(context, normalized, g, normalized);
      norm2_.add_backward(context, normalized, g);
    }
    workspace.release(middle_mark_);
    Rows const attended = attended_, projected = projected_;
    Rows const slope = workspace.template push<T**>(g.rows, width_);
    Rows const projected_slope = workspace.template push<T**>(g.rows, 3 * width_);
    proj_.backward(context, attended, g, slope);
    attention_.backward(context, projected, attended, slope, projected_slope);
    norm1_.recall(context, slope);
    qkv_.backward(context, slope, projected_slope, slope);
    norm1_.add_backward(context, slope, g);
    workspace.release(mark_);
  }

 private:
  Index width_;
  LayerNorm<T, Space> norm1_;
  Linear<T, Space> qkv_;
  Attention<T, Space> attention_;
  Linear<T, Space> proj_;
  LayerNorm<T, Space> norm2_;
  Mlp<T, Space> mlp_;
  std::size_t mark_ = 0, middle_mark_ = 0;
  View<T**, Space> projected_;  // [rows, 3 width]: queries, keys and values
  View<T**, Space> attended_;   // [rows, width]
};

}  // namespace dchag::layers
