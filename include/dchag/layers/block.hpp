#pragma once

#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/layers/dropout.hpp>
#include <dchag/layers/layer_norm.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/layers/mlp.hpp>
#include <dchag/layers/spread.hpp>
#include <dchag/layers/spread_tensor_sequence.hpp>
#include <string>
#include <utility>

namespace dchag::layers {

/// Pre-norm transformer block, in place on the residual stream: x += proj(attention(qkv(norm1(x)))), then
/// x += mlp(norm2(x)). Parameters `name.norm1.*`, `name.attn.qkv.*`, `name.attn.proj.*`, `name.norm2.*`,
/// `name.mlp.fc1.*`, `name.mlp.fc2.*`. Keeps 6 width + hidden + heads + 2 numbers a row (10 width + heads + 2 where
/// hidden = 4 width).
///
/// In training, dropout zeroes elements of three matrices: the result of proj, gelu(fc1), and the result of fc2 (the
/// projection's and the MLP's dropout of timm; attention's probabilities are not dropped).
///
/// Over several ranks the stream is this rank's own rows, and all ranks of the group call forward and backward.
template <class T, class Space, class Strategy = Replicated>
class Block {
 public:
  using Rows = linalg::Matrix<T>;
  using Spread = layers::Spread<Strategy>;

  /// `heads` divides `width`. `spread` and `dropout` outlive the block; begin() of `spread` is called before each pass
  /// forward, `dropout` is the same in a pass forward and its pass backward.
  Block(Parameters<T, Space>& parameters, std::string const& name, Index width, Index heads, Index hidden,
        Spread const& spread = one_rank(), Dropout const& dropout = nothing_dropped())
      : spread_(&spread),
        dropout_(&dropout),
        width_(width),
        hidden_(hidden),
        proj_key_(dropout.key(name + ".attn.proj")),
        fc1_key_(dropout.key(name + ".mlp.fc1")),
        fc2_key_(dropout.key(name + ".mlp.fc2")),
        norm1_(parameters, name + ".norm1", width, spread.everywhere()),
        qkv_(parameters, name + ".attn.qkv", width, 3 * width, spread.qkv(width, heads)),
        attention_(spread.template attention<T, Space>(width, heads)),
        proj_(parameters, name + ".attn.proj", width, width, spread.proj(width, heads)),
        norm2_(parameters, name + ".norm2", width, spread.everywhere()),
        mlp_(parameters, name + ".mlp", width, hidden, spread.fc1(width, hidden), spread.fc2(width, hidden)) {}

  /// x [images * locations, width] becomes the block's result. What is kept stays on the workspace until backward.
  void forward(Context<Space> const& context, Rows x, Index images) {
    Region region("dchag::block::forward");
    prepare(context, x, images);
    auto scope = context.workspace().scope();
    Rows const active = mlp_.activate(context);
    if (dropout_->on()) drop(context, hidden_mask(active.rows), active, active);
    add(context, mlp_.fc2(), active, x, fc2_key_);
  }

  /// Forward without its last sum: keeps all that backward reads.
  void prepare(Context<Space> const& context, Rows x, Index images) {
    auto& workspace = context.workspace();
    mark_ = workspace.mark();
    norm1_.keep(context, x.rows);
    attend(context, x, images);
    add(context, proj_, Rows(attended_), x, proj_key_);
    middle_mark_ = workspace.mark();
    norm2_.keep(context, x.rows);
    mlp_.keep(context, spread_->branch_rows(x.rows));
    auto scope = workspace.scope();
    Rows const normalized = spread_->template push<T>(context, x.rows, width_);
    norm2_.normalize(context, x, spread_->own(normalized));
    spread_->gather(context, normalized);
    mlp_.enter(context, normalized);
  }

  /// g, the gradient of the result, becomes that of the input; the gradients of all parameters are added to.
  void backward(Context<Space> const& context, Rows g) {
    Region region("dchag::block::backward");
    auto& workspace = context.workspace();
    {
      Rows const normalized = spread_->template push<T>(context, g.rows, width_);
      norm2_.recall(context, spread_->own(normalized));
      spread_->gather(context, normalized);
      Rows const slope = dropped(context, g, fc2_key_);
      auto const mask = hidden_mask(spread_->branch_rows(g.rows));
      mlp_.backward(context, normalized, spread_->gathered(context, slope), slope, normalized,
                    dropout_->on() ? &mask : nullptr);
      norm2_.add_backward(context, spread_->sum(context, normalized), g);
    }
    workspace.release(middle_mark_);
    Rows const branch = spread_->template push<T>(context, g.rows, width_);
    Rows const projected_slope = workspace.template push<T**>(branch.rows, qkv_.out());
    attend_backward(context, g, {branch.data, branch.rows, proj_.in()}, projected_slope);
    norm1_.recall(context, spread_->own(branch));
    spread_->gather(context, branch);
    qkv_.backward(context, branch, projected_slope, branch);
    norm1_.add_backward(context, spread_->sum(context, branch), g);
    workspace.release(mark_);
  }

 private:
  static Spread const& one_rank() {
    static Spread const spread;
    return spread;
  }
  static Dropout const& nothing_dropped() {
    static Dropout const dropout;
    return dropout;
  }

  DropoutMask<T> stream_mask(Index own_rows, std::uint64_t key) const {
    return dropout_->template mask<T>(key, spread_->stream_elements(own_rows, width_));
  }
  DropoutMask<T> hidden_mask(Index rows) const {
    return dropout_->template mask<T>(fc1_key_, spread_->hidden_elements(rows, hidden_));
  }
  /// x += linear(in), dropped.
  void add(Context<Space> const& context, Linear<T, Space> const& linear, Rows in, Rows x, std::uint64_t key) const {
    if (!dropout_->on()) return spread_->add(context, linear, in, x);
    auto scope = context.workspace().scope();
    add_dropped(context, stream_mask(x.rows, key), spread_->result(context, linear, in), x);
  }
  /// The gradient of what was dropped from that of the stream; may push.
  Rows dropped(Context<Space> const& context, Rows g, std::uint64_t key) const {
    if (!dropout_->on()) return g;
    Rows const slope = context.workspace().template push<T**>(g.rows, g.columns);
    drop(context, stream_mask(g.rows, key), g, slope);
    return slope;
  }

  /// attended = attention(qkv(norm1(x))); pushes what is kept of it.
  void attend(Context<Space> const& context, Rows x, Index images) {
    auto& workspace = context.workspace();
    Index const rows = spread_->branch_rows(x.rows);
    attention_.keep(context, rows, images);
    attended_ = workspace.template push<T**>(rows, proj_.in());
    auto scope = workspace.scope();
    Rows const projected = attention_.projected(context);
    {
      auto inner = workspace.scope();
      Rows const normalized = spread_->template push<T>(context, x.rows, width_);
      norm1_.normalize(context, x, spread_->own(normalized));
      spread_->gather(context, normalized);
      qkv_.forward(context, normalized, projected);
    }
    attention_.attend(context, projected, attended_);
  }

  /// Writes the gradients of the attention's result (slope) and of queries, keys and values.
  void attend_backward(Context<Space> const& context, Rows g, Rows slope, Rows projected_slope) {
    {
      auto scope = context.workspace().scope();
      Rows const own = dropped(context, g, proj_key_), whole = spread_->gathered(context, own);
      proj_.weight_backward(context, Rows(attended_), whole);
      proj_.bias_backward(context, own);
      proj_.input_backward(context, whole, slope);
    }
    attention_.backward(context, Rows(attended_), slope, projected_slope);
  }

  using Attention = decltype(std::declval<Spread const&>().template attention<T, Space>(Index{}, Index{}));

  Spread const* spread_;
  Dropout const* dropout_;
  Index width_, hidden_;
  std::uint64_t proj_key_, fc1_key_, fc2_key_;
  LayerNorm<T, Space> norm1_;
  Linear<T, Space> qkv_;
  Attention attention_;
  Linear<T, Space> proj_;
  LayerNorm<T, Space> norm2_;
  Mlp<T, Space> mlp_;
  std::size_t mark_ = 0, middle_mark_ = 0;
  View<T**, Space> attended_;  // [branch rows, width of this rank's heads]
};

}  // namespace dchag::layers
