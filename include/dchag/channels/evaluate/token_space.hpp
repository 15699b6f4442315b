#pragma once

#include <dchag/channels/evaluate/order.hpp>
#include <dchag/channels/evaluate/patch_scores.hpp>

namespace dchag::channels {

/// Cross-attention over channels, a chunk of tokens at a time: scores from the patches, then the heads' sums of tokens,
/// and the value projection of the sums. Kept a row: maximum and normalizer of each head, the values z, and the sums of
/// tokens where they are few beside the patches.
///
/// channel-math.md takes the scores from the tokens; taking them from the patches (PatchScores) saves half of the
/// products of heads and tokens forward, and two of five backward, since the scores' part of dt is u dr once a step:
/// where there are more rows than pixels in a patch, else it goes through the tokens.
template <class T, class Space>
class TokenSpaceLeaf {
 public:
  TokenSpaceLeaf(QueryAttention<T, Space>& attention, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : attention_(&attention), tokenizer_(&tokenizer), group_(group), scores_(attention, tokenizer, group) {}

  Index kept_per_row() const {
    Index const heads = attention_->heads(), embed = attention_->embed();
    return 2 * heads + embed + (keeps_sums() ? heads * embed : 0);
  }
  void prepare(Context<Space> const& context) { scores_.prepare(context); }
  void finish(Context<Space> const& context) const { scores_.finish(context, through_tokens_); }

  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, T* kept, T* out,
               PresentTokens<T> const& present) const {
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch;
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T* const a = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const sums = keeps_sums() ? z + embed * pitch : workspace.template push<T***>(heads, embed, pitch).data();
    scores_.weights(context, tiling, x, present, max, normalizer, a);
    Index const chunk = chunk_channels<T, Space>(group_.count, embed * pitch);
    T* const t = workspace.template push<T***>(chunk, embed, pitch).data();
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c);
      tokenize(context, tiling, c, count, x, t);
      add_tokens(context, tiling, c, count, a, t, sums);
    }
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1},
                         attention_->by_head(attention_->value_weight()), head_sums(tiling, sums), T{0},
                         attention_->by_head(tile_matrix(z, embed, tiling)));
    T const* const share = attention_->join(context, tiling, false, max, normalizer, z);
    if (share != nullptr && keeps_sums()) detail::scale_by_share(context, tiling, 1, heads, embed, share, sums);
    attention_->project(context, tiling, true, z, out);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const& present) {
    through_tokens_ = size(tiling.rows).scores_through_tokens();
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch,
                patch = tokenizer_->patch();
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T const *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T* const dz = workspace.template push<T**>(embed, pitch).data();
    T* const delta = workspace.template push<T**>(heads, pitch).data();
    T* const a = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const ds = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const sums_again = keeps_sums() ? nullptr : workspace.template push<T***>(heads, embed, pitch).data();
    T const* const sums = keeps_sums() ? z + embed * pitch : sums_again;
    T* const y = workspace.template push<T***>(heads, embed, pitch).data();
    attention_->pull(context, tiling, z, gradient, true, dz, delta);
    auto const dz_heads = attention_->by_head(tile_matrix(dz, embed, tiling));
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, attention_->by_head(attention_->value_weight()),
                         dz_heads, T{0}, head_sums(tiling, y));
    scores_.weights_again(context, tiling, x, present, max, normalizer, a);
    Index const chunk = chunk_channels<T, Space>(group_.count, embed * pitch);
    T* const t = workspace.template push<T***>(chunk, embed, pitch).data();
    T* const dt = through_tokens_ ? workspace.template push<T***>(chunk, embed, pitch).data() : t;
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c), at = c * heads * pitch;
      tokenize(context, tiling, c, count, x, t);
      if (!keeps_sums()) add_tokens(context, tiling, c, count, a, t, sums_again);
      kernels::pull_tokens(context, tiling, count, heads, embed, static_cast<T const*>(a + at),
                           static_cast<T const*>(delta), static_cast<T const*>(y), static_cast<T const*>(t),
                           static_cast<T const*>(tokenizer_->beta(group_.first + c)),
                           static_cast<T const*>(through_tokens_ ? attention_->scorers() : nullptr), ds + at, dt);
      if (through_tokens_)
        linalg::summed_gemm(context, Op::none, Op::transpose, T{1},
                            {tile_matrix(ds + at, heads, tiling), count, heads * pitch},
                            tokenizer_->tokens(tiling, t, count), T{1}, {attention_->scorer_gradients(), heads, embed});
      tokenizer_->pull(context, tiling, group_.first + c, count, x + c * patch * pitch, dt);
    }
    linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, dz_heads, head_sums(tiling, sums), T{1},
                         attention_->by_head(attention_->value_weight_gradient()));
    scores_.pull(context, tiling, x, ds, through_tokens_);
  }

 private:
  UnitSize size(Index rows) const {
    return {rows, group_.count, tokenizer_->patch(), attention_->embed(), attention_->heads()};
  }
  bool keeps_sums() const { return size(0).keeps_sums(); }
  void tokenize(Context<Space> const& context, Tiling const& tiling, Index c, Index count, T const* x, T* t) const {
    tokenizer_->project(context, tiling, group_.first + c, count, x + c * tokenizer_->patch() * tiling.pitch, t);
  }
  /// Adds the tokens t of `count` channels from c on to the heads' sums.
  void add_tokens(Context<Space> const& context, Tiling const& tiling, Index c, Index count, T const* a, T const* t,
                  T* sums) const {
    Index const heads = attention_->heads();
    kernels::weighted_sum(context, tiling, count, heads, attention_->embed(), a + c * heads * tiling.pitch, t,
                          static_cast<T const*>(tokenizer_->beta(group_.first + c)), c > 0, sums);
  }
  template <class P>
  linalg::Batch<P> head_sums(Tiling const& tiling, P* sums) const {
    return {tile_matrix(sums, attention_->embed(), tiling), attention_->heads(), attention_->embed() * tiling.pitch};
  }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
  PatchScores<T, Space> scores_;
  bool through_tokens_ = false;
};

}  // namespace dchag::channels
