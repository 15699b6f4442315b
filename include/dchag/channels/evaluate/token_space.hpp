#pragma once

#include <dchag/channels/evaluate/order.hpp>
#include <dchag/channels/evaluate/patch_scores.hpp>
#include <dchag/channels/evaluate/token_blocks.hpp>

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
      : attention_(&attention),
        tokenizer_(&tokenizer),
        group_(group),
        scores_(attention, tokenizer, group),
        blocks_(attention, tokenizer, group) {}

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
    T* const sums = keeps_sums() ? z + embed * pitch : workspace.template push<T***>(embed, heads, pitch).data();
    scores_.weights(context, tiling, x, present, max, normalizer, a);
    sum_tokens(context, tiling, x, a, sums);
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1},
                         attention_->by_head(attention_->value_weight()), head_sums(tiling, sums), T{0},
                         attention_->by_head(tile_matrix(z, embed, tiling)));
    T const* const share = attention_->join(context, tiling, false, max, normalizer, z);
    if (share != nullptr && keeps_sums()) detail::scale_by_share(context, tiling, embed, heads, 1, share, sums);
    attention_->project(context, tiling, true, z, out);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const& present) {
    through_tokens_ = size(tiling.rows).scores_through_tokens();
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch;
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T const *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T* const dz = workspace.template push<T**>(embed, pitch).data();
    T* const delta = workspace.template push<T**>(heads, pitch).data();
    T* const a = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const ds = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const sums_again = keeps_sums() ? nullptr : workspace.template push<T***>(embed, heads, pitch).data();
    T const* const sums = keeps_sums() ? z + embed * pitch : sums_again;
    T* const y = workspace.template push<T***>(embed, heads, pitch).data();
    attention_->pull(context, tiling, z, gradient, true, dz, delta);
    auto const dz_heads = attention_->by_head(tile_matrix(dz, embed, tiling));
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, attention_->by_head(attention_->value_weight()),
                         dz_heads, T{0}, head_sums(tiling, y));
    scores_.weights_again(context, tiling, x, present, max, normalizer, a);
    pull_tokens(context, tiling, x, a, delta, y, ds, sums_again);
    linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, dz_heads, head_sums(tiling, sums), T{1},
                         attention_->by_head(attention_->value_weight_gradient()));
    scores_.pull_bias(context, tiling, ds);
  }

 private:
  UnitSize size(Index rows) const {
    return {rows, group_.count, tokenizer_->patch(), attention_->embed(), attention_->heads()};
  }
  bool keeps_sums() const { return size(0).keeps_sums(); }
  void tokenize(Context<Space> const& context, Tiling const& tiling, Index c, Index count, T const* x, T* t) const {
    tokenizer_->project(context, tiling, group_.first + c, count, x + c * tokenizer_->patch() * tiling.pitch, t);
  }
  /// sums[e, i, n] = sum_c a[c, i, n] (t[c, e, n] + beta[c, e])
  void sum_tokens(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T* sums) const {
    if constexpr (linalg::has_thread_gemm<Space>)
      if (linalg::prefers_thread_gemm(context)) return blocks_.sum(context, tiling, x, a, sums);
    auto scope = context.workspace().scope();
    Index const chunk = chunk_channels<T, Space>(group_.count, attention_->embed() * tiling.pitch);
    T* const t = push_tokens(context, tiling, chunk);
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c);
      tokenize(context, tiling, c, count, x, t);
      add_tokens(context, tiling, c, count, a, t, sums);
    }
  }

  /// From y [D, h, pitch]: ds [c, h, pitch], and the tokens' part of the gradients; the sums too, where they are
  /// wanted: by threads from tokens formed once more, since sums are divided by features and the rest by channels.
  void pull_tokens(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T const* delta,
                   T const* y, T* ds, T* sums) const {
    if constexpr (linalg::has_thread_gemm<Space>)
      if (linalg::prefers_thread_gemm(context)) {
        if (sums != nullptr) blocks_.sum(context, tiling, x, a, sums);
        return blocks_.pull(context, tiling, x, a, delta, y, through_tokens_ ? nullptr : scores_.patch_gradients(), ds);
      }
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch;
    auto scope = context.workspace().scope();
    Index const chunk = chunk_channels<T, Space>(group_.count, embed * pitch);
    T* const t = push_tokens(context, tiling, chunk);
    T* const dt = through_tokens_ ? push_tokens(context, tiling, chunk) : t;
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c), at = c * heads * pitch;
      tokenize(context, tiling, c, count, x, t);
      if (sums != nullptr) add_tokens(context, tiling, c, count, a, t, sums);
      kernels::pull_tokens(context, tiling, count, heads, embed, a + at, delta, y, static_cast<T const*>(t),
                           static_cast<T const*>(tokenizer_->beta(group_.first + c)),
                           static_cast<T const*>(through_tokens_ ? attention_->scorers() : nullptr), ds + at, dt);
      if (through_tokens_)
        linalg::summed_gemm(context, Op::none, Op::transpose, T{1},
                            {tile_matrix(ds + at, heads, tiling), count, heads * pitch},
                            tokenizer_->tokens(tiling, t, count), T{1}, {attention_->scorer_gradients(), heads, embed});
      tokenizer_->pull(context, tiling, group_.first + c, count, x + c * tokenizer_->patch() * pitch, dt);
    }
    if (!through_tokens_) scores_.pull_patches(context, tiling, x, static_cast<T const*>(ds));
  }

  T* push_tokens(Context<Space> const& context, Tiling const& tiling, Index count) const {
    return context.workspace().template push<T***>(count, attention_->embed(), tiling.pitch).data();
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
    Index const heads = attention_->heads();
    return {{sums, attention_->embed(), tiling.width, heads * tiling.pitch}, heads, tiling.pitch};
  }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
  PatchScores<T, Space> scores_;
  TokenBlocks<T, Space> blocks_;
  bool through_tokens_ = false;
};

}  // namespace dchag::channels
