#pragma once

#include <dchag/channels/automatic.hpp>
#include <dchag/channels/evaluate/materialized.hpp>
#include <dchag/channels/evaluate/patch_space.hpp>
#include <dchag/channels/evaluate/token_space.hpp>
#include <dchag/core/error.hpp>

namespace dchag::channels {

/// Cross-attention over the channels of a group, in the order of evaluation that the policy allows and that is cheapest
/// for the rows at hand. The channels may be some of the unit's, those that this rank owns: see share(). Or the heads
/// are divided over the ranks of a group, all of which have all channels.
template <class T, class Space, EvaluationOrder Policy>
class AttentionLeaf {
 public:
  AttentionLeaf(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape,
                Tokenizer<T, Space>& tokenizer, ChannelGroup group, Communicator const& head_group = {})
      : attention_(parameters, prefix, shape, head_group),
        size_{0, group.count, tokenizer.patch(), shape.embed, shape.heads},
        materialized_(attention_, tokenizer, group),
        token_space_(attention_, tokenizer, group),
        patch_space_(attention_, tokenizer, group) {}
  AttentionLeaf(AttentionLeaf const&) = delete;

  void share(Joint<T, Space> const& joint) { attention_.share(joint); }

  /// Chooses the order for a batch of that many rows. Throws where the policy chooses one that it does not allow.
  void choose(Index rows) {
    size_.rows = rows;
    if (size_.channels == 0) return;
    order_ = Policy::choose(size_);
    require(Policy::allows(order_), "Evaluate: the policy chooses order ", static_cast<int>(order_), " for ", rows,
            " rows of ", size_.channels, " channels, but does not allow it: let allows() answer true for it");
  }
  Order order() const { return order_; }

  bool gathers() const { return false; }
  Index kept_per_row() {
    if (size_.channels == 0) return attention_.kept_without_tokens();
    Index kept = 0;
    with_leaf([&](auto& leaf) { kept = leaf.kept_per_row(); });
    return kept;
  }
  void prepare(Context<Space> const& context) {
    attention_.prepare(context);
    if (size_.channels == 0) return;
    with_leaf([&](auto& leaf) { leaf.prepare(context); });
  }
  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, T* kept, T* out,
               PresentTokens<T> const& present = {}) {
    if (size_.channels == 0) return attention_.forward_without_tokens(context, tiling, kept, out);
    with_leaf([&](auto& leaf) { leaf.forward(context, tiling, x, kept, out, present); });
  }
  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const& present = {}) {
    if (size_.channels == 0) return attention_.backward_without_tokens(context, tiling, kept, gradient);
    with_leaf([&](auto& leaf) { leaf.backward(context, tiling, x, kept, gradient, present); });
  }
  void finish(Context<Space> const& context) {
    if (size_.channels == 0) return;
    with_leaf([&](auto& leaf) { leaf.finish(context); });
    if (order_ != Order::materialized) attention_.finish(context);
  }

 private:
  template <class F>
  void with_leaf(F const& f) {
    if constexpr (Policy::allows(Order::materialized))
      if (order_ == Order::materialized) f(materialized_);
    if constexpr (Policy::allows(Order::token_space))
      if (order_ == Order::token_space) f(token_space_);
    if constexpr (Policy::allows(Order::patch_space))
      if (order_ == Order::patch_space) f(patch_space_);
  }

  QueryAttention<T, Space> attention_;
  UnitSize size_;
  Order order_ = Order::materialized;  // until choose()
  MaterializedLeaf<T, Space> materialized_;
  TokenSpaceLeaf<T, Space> token_space_;
  PatchSpaceLeaf<T, Space> patch_space_;
};

}  // namespace dchag::channels
