#pragma once

#include <dchag/channels/evaluate/patch_blocks.hpp>
#include <dchag/channels/evaluate/patch_scores.hpp>

namespace dchag::channels {

namespace detail {

/// columns[e, c * P + p] = weight[c, e, p]; or weight += columns where `back`.
template <class T, class Space>
void weights_to_columns(Context<Space> const& context, Index channels, Index embed, Index patch, T* weight, T* columns,
                        bool back) {
  context.rows(
      "dchag::channels::weights_to_columns", back ? channels : embed, back ? embed : channels, 1,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const e = back ? n : row, c = back ? row : n;
        T* const one = weight + (c * embed + e) * patch;
        T* const other = columns + (e * channels + c) * patch;
        for (Index p = 0; p < patch; ++p)
          if (back)
            one[p] += other[p];
          else
            other[p] = one[p];
      },
      moves<T>(embed * channels * patch * (back ? 3 : 2)));
}

}  // namespace detail

/// Cross-attention over channels without any token: with G_c = Wv W_c and gamma_c = Wv beta_c, computed once a step,
/// the values are products of G with the patches scaled by their weights. Kept a row: maximum and normalizer of each
/// head, and z.
template <class T, class Space>
class PatchSpaceLeaf {
 public:
  PatchSpaceLeaf(QueryAttention<T, Space>& attention, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : attention_(&attention), tokenizer_(&tokenizer), group_(group), scores_(attention, tokenizer, group) {}

  Index kept_per_row() const { return 2 * attention_->heads() + attention_->embed(); }

  void prepare(Context<Space> const& context) {
    using linalg::Op;
    scores_.prepare(context);
    Index const c = group_.count, embed = attention_->embed(), patch = tokenizer_->patch();
    auto& workspace = context.workspace();
    columns_ = workspace.template push<T**>(embed, c * patch).data();
    g_ = workspace.template push<T**>(embed, c * patch).data();
    dg_ = workspace.template push<T**>(embed, c * patch).data();
    gamma_ = workspace.template push<T**>(embed, c).data();
    dgamma_ = workspace.template push<T**>(embed, c).data();
    context.fill(reshape<T*, Space>(dgamma_, embed * c), T{0});
    detail::weights_to_columns(context, c, embed, patch, tokenizer_->weight(group_.first), columns_, false);
    linalg::gemm(context, Op::none, Op::none, T{1}, attention_->value_weight(), {columns_, embed, c * patch}, T{0},
                 {g_, embed, c * patch});
    linalg::gemm(context, Op::none, Op::transpose, T{1}, attention_->value_weight(), betas(), T{0}, {gamma_, embed, c});
    context.fill(reshape<T*, Space>(dg_, embed * c * patch), T{0});
  }

  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, T* kept, T* out,
               PresentTokens<T> const& present) const {
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch;
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T* const a = workspace.template push<T***>(group_.count, heads, pitch).data();
    scores_.weights(context, tiling, x, present, max, normalizer, a);
    auto const z_heads = attention_->by_head(tile_matrix(z, embed, tiling));
    linalg::batched_gemm(context, Op::none, Op::none, T{1}, by_head(gamma_, group_.count, 0, group_.count),
                         weights_by_head(tiling, a), T{0}, z_heads);
    sum_patches(context, tiling, x, a, z_heads);
    attention_->join(context, tiling, false, max, normalizer, z);
    attention_->project(context, tiling, true, z, out);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const& present) const {
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = tiling.pitch;
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T const *const max = kept, *const normalizer = kept + heads * pitch, *const z = kept + 2 * heads * pitch;
    T* const dz = workspace.template push<T**>(embed, pitch).data();
    T* const delta = workspace.template push<T**>(heads, pitch).data();
    T* const a = workspace.template push<T***>(group_.count, heads, pitch).data();
    T* const ds = workspace.template push<T***>(group_.count, heads, pitch).data();
    attention_->pull(context, tiling, z, gradient, true, dz, delta);
    auto const dz_heads = attention_->by_head(tile_matrix(dz, embed, tiling));
    scores_.weights_again(context, tiling, x, present, max, normalizer, a);
    auto const gammas = by_head(gamma_, group_.count, 0, group_.count),
               dgammas = by_head(dgamma_, group_.count, 0, group_.count);
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, gammas, dz_heads, T{0}, weights_by_head(tiling, ds));
    linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, dz_heads, weights_by_head(tiling, a), T{1}, dgammas);
    pull_patches(context, tiling, x, a, delta, dz_heads, ds);
    scores_.pull_bias(context, tiling, ds);
    scores_.pull_patches(context, tiling, x, static_cast<T const*>(ds));
  }

  /// dW += Wv^T dG;  dbeta += dgamma^T Wv;  dWv += dG W^T + dgamma beta; then the scores' part.
  void finish(Context<Space> const& context) const {
    using linalg::Op;
    Index const c = group_.count, embed = attention_->embed(), patch = tokenizer_->patch();
    linalg::Matrix<T> const dg(dg_, embed, c * patch), dgamma(dgamma_, embed, c), weight(columns_, embed, c * patch);
    linalg::gemm(context, Op::none, Op::transpose, T{1}, dg, weight, T{1}, attention_->value_weight_gradient());
    linalg::gemm(context, Op::none, Op::none, T{1}, dgamma, betas(), T{1}, attention_->value_weight_gradient());
    linalg::gemm(context, Op::transpose, Op::none, T{1}, dgamma, attention_->value_weight(), T{1},
                 {tokenizer_->beta_gradient(group_.first), c, embed});
    linalg::gemm(context, Op::transpose, Op::none, T{1}, attention_->value_weight(), dg, T{0}, weight);
    detail::weights_to_columns(context, c, embed, patch, tokenizer_->weight_gradient(group_.first), columns_, true);
    scores_.finish(context, false);
  }

 private:
  PatchBlocks<T, Space> blocks() const {
    return {group_.count, tokenizer_->patch(), attention_->heads(), attention_->width()};
  }

  /// z_i += sum_c G_c(i) (a[c, i] x[c])
  void sum_patches(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a,
                   linalg::Batch<T> const& z) const {
    if constexpr (linalg::has_thread_gemm<Space>)
      if (linalg::prefers_thread_gemm(context))
        return blocks().sum(context, tiling, x, a, columns(g_, 0, group_.count), z);
    using linalg::Op;
    Index const heads = attention_->heads(), pitch = tiling.pitch, patch = tokenizer_->patch();
    Index const chunk = chunk_channels<T, Space>(group_.count, heads * patch * pitch);
    auto scope = context.workspace().scope();
    T* const scaled = context.workspace().template push<T***>(heads, chunk * patch, pitch).data();
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c);
      kernels::scale_patches(context, tiling, count, heads, patch, a + c * heads * pitch, x + c * patch * pitch,
                             scaled);
      linalg::batched_gemm(context, Op::none, Op::none, T{1}, columns(g_, c, count),
                           patches_by_head(tiling, scaled, count), T{1}, z);
    }
  }

  /// From dz_i, and the part of da that comes from gamma in ds: ds and the gradient of G.
  void pull_patches(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T const* delta,
                    linalg::Batch<T> const& dz, T* ds) const {
    if constexpr (linalg::has_thread_gemm<Space>)
      if (linalg::prefers_thread_gemm(context))
        return blocks().pull(context, tiling, x, a, delta, columns(g_, 0, group_.count), dz,
                             columns(dg_, 0, group_.count), ds);
    using linalg::Op;
    Index const heads = attention_->heads(), pitch = tiling.pitch, patch = tokenizer_->patch();
    Index const chunk = chunk_channels<T, Space>(group_.count, heads * patch * pitch);
    auto scope = context.workspace().scope();
    T* const pulled = context.workspace().template push<T***>(heads, chunk * patch, pitch).data();
    for (Index c = 0; c < group_.count; c += chunk) {
      Index const count = std::min(chunk, group_.count - c), at = c * heads * pitch;
      auto const by_patch = patches_by_head(tiling, pulled, count);
      linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, columns(g_, c, count), dz, T{0}, by_patch);
      kernels::pull_patches(context, tiling, count, heads, patch, a + at, delta, x + c * patch * pitch, pulled,
                            ds + at);
      linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, dz, by_patch, T{1}, columns(dg_, c, count));
    }
  }

  linalg::Matrix<T> betas() const { return {tokenizer_->beta(group_.first), group_.count, attention_->embed()}; }

  /// The rows of each head of an array [D, row], columns [first, first + count).
  linalg::Batch<T> by_head(T* data, Index row, Index first, Index count) const {
    return attention_->by_head(linalg::Matrix<T>(data + first, attention_->embed(), count, row));
  }
  linalg::Batch<T> columns(T* data, Index c, Index count) const {
    Index const patch = tokenizer_->patch();
    return by_head(data, group_.count * patch, c * patch, count * patch);
  }
  /// Weights [c, h, pitch] as a batch over heads of [c, width].
  linalg::Batch<T> weights_by_head(Tiling const& tiling, T* a) const {
    return {{a, group_.count, tiling.width, attention_->heads() * tiling.pitch}, attention_->heads(), tiling.pitch};
  }
  /// Scaled patches [h, count, P, pitch] as a batch over heads of [count P, width].
  linalg::Batch<T> patches_by_head(Tiling const& tiling, T* scaled, Index count) const {
    Index const rows = count * tokenizer_->patch();
    return {tile_matrix(scaled, rows, tiling), attention_->heads(), rows * tiling.pitch};
  }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
  PatchScores<T, Space> scores_;
  T *columns_ = nullptr, *g_ = nullptr, *dg_ = nullptr, *gamma_ = nullptr, *dgamma_ = nullptr;
};

}  // namespace dchag::channels
