#pragma once

#include <dchag/channels/evaluate/absent_tokens.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/units/query_attention.hpp>
#include <dchag/channels/units/unit.hpp>

namespace dchag::channels {

/// Cross-attention over the few tokens of a deeper level, evaluated in token space: what is kept a row are the maximum
/// and the normalizer of each head, and the heads' values.
template <class T, class Space>
class CrossAttentionUnit {
 public:
  CrossAttentionUnit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape)
      : attention_(parameters, prefix, shape), tokens_(shape.tokens) {}

  void share(UnitShare<T, Space> const& share) {
    attention_.share(share.joint);
    tokens_ = static_cast<Index>(share.tokens().size());
  }

  Index kept_per_row() const { return attention_.kept_without_tokens(); }
  void prepare(Context<Space> const& context) { attention_.prepare(context); }
  void finish(Context<Space> const& context) { attention_.finish(context); }

  void forward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T* kept, T* out,
               PresentTokens<T> const& present = {}) {
    if (tokens_ == 0) return attention_.forward_without_tokens(context, tiling, kept, out);
    Index const heads = attention_.heads(), embed = attention_.embed(), pitch = tiling.pitch;
    auto scope = context.workspace().scope();
    T* const s = context.workspace().template push<T***>(tokens_, heads, pitch).data();
    T* const sums = context.workspace().template push<T***>(embed, heads, pitch).data();
    T *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    scores(context, tiling, tokens, s);
    kernels::softmax_of_present(context, tiling, tokens_, heads, present, s, max, normalizer);
    kernels::weighted_sum(context, tiling, tokens_, heads, embed, static_cast<T const*>(s), tokens,
                          static_cast<T const*>(nullptr), false, sums);
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1},
                         attention_.by_head(attention_.value_weight()), head_sums(tiling, sums), T{0},
                         attention_.by_head(tile_matrix(z, embed, tiling)));
    attention_.join(context, tiling, false, max, normalizer, z);
    attention_.project(context, tiling, true, z, out);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T const* kept, T const* gradient,
                T* token_gradients, PresentTokens<T> const& present = {}) {
    using linalg::Op;
    if (tokens_ == 0) return attention_.backward_without_tokens(context, tiling, kept, gradient);
    Index const heads = attention_.heads(), embed = attention_.embed(), pitch = tiling.pitch;
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T* const dz = workspace.template push<T**>(embed, pitch).data();
    T* const delta = workspace.template push<T**>(heads, pitch).data();
    T* const a = workspace.template push<T***>(tokens_, heads, pitch).data();
    T* const ds = workspace.template push<T***>(tokens_, heads, pitch).data();
    T* const y = workspace.template push<T***>(embed, heads, pitch).data();
    T const *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T const* const none = nullptr;
    attention_.pull(context, tiling, z, gradient, true, dz, delta);
    scores(context, tiling, tokens, a);
    kernels::weights_again(context, tiling, tokens_, heads, a, max, normalizer);
    kernels::hide_absent(context, tiling, tokens_, heads, present, T{0}, a);

    auto const dz_heads = attention_.by_head(tile_matrix(dz, embed, tiling));
    kernels::weighted_sum(context, tiling, tokens_, heads, embed, static_cast<T const*>(a), tokens, none, false, y);
    linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, dz_heads, head_sums(tiling, y), T{1},
                         attention_.by_head(attention_.value_weight_gradient()));
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, attention_.by_head(attention_.value_weight()),
                         dz_heads, T{0}, head_sums(tiling, y));
    kernels::pull_tokens(context, tiling, tokens_, heads, embed, static_cast<T const*>(a), static_cast<T const*>(delta),
                         static_cast<T const*>(y), tokens, none, static_cast<T const*>(attention_.scorers()), ds,
                         token_gradients);

    linalg::Batch<T const> const token_batch(tile_matrix(tokens, embed, tiling), tokens_, embed * pitch);
    linalg::Batch<T const> const ds_batch(tile_matrix(static_cast<T const*>(ds), heads, tiling), tokens_,
                                          heads * pitch);
    linalg::summed_gemm(context, Op::none, Op::transpose, T{1}, ds_batch, token_batch, T{1},
                        {attention_.scorer_gradients(), heads, embed});
  }

 private:
  linalg::Batch<T> head_sums(Tiling const& tiling, T* sums) const {
    Index const heads = attention_.heads();
    return {{sums, attention_.embed(), tiling.width, heads * tiling.pitch}, heads, tiling.pitch};
  }
  void scores(Context<Space> const& context, Tiling const& tiling, T const* tokens, T* s) const {
    Index const heads = attention_.heads(), embed = attention_.embed();
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1},
                         {{attention_.scorers(), heads, embed}, tokens_, 0},
                         {tile_matrix(tokens, embed, tiling), tokens_, embed * tiling.pitch}, T{0},
                         {tile_matrix(s, heads, tiling), tokens_, heads * tiling.pitch});
  }

  QueryAttention<T, Space> attention_;
  Index tokens_;  // of this rank
};

}  // namespace dchag::channels
