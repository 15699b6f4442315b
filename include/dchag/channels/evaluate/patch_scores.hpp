#pragma once

#include <dchag/channels/evaluate/absent_tokens.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/units/query_attention.hpp>

namespace dchag::channels {

/// The channels of one unit over patches: `count` of the tokenizer's from `first`.
struct ChannelGroup {
  Index first, count;
};

/// Scores of one query straight from patches: r[c, i] = W_c^T u_i [P] and sigma[c, i] = u_i . beta_c, so that
/// s[n, c, i] = r . x + sigma without any token (channel-math.md, section 2). Both cheap orders of evaluation use it.
template <class T, class Space>
class PatchScores {
 public:
  PatchScores(QueryAttention<T, Space>& attention, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : attention_(&attention), tokenizer_(&tokenizer), group_(group) {}

  void prepare(Context<Space> const& context) {
    using linalg::Op;
    Index const c = group_.count, heads = attention_->heads(), patch = tokenizer_->patch(), embed = attention_->embed();
    auto& workspace = context.workspace();
    r_ = workspace.template push<T***>(c, heads, patch).data();
    dr_ = workspace.template push<T***>(c, heads, patch).data();
    sigma_ = workspace.template push<T**>(c, heads).data();
    dsigma_ = workspace.template push<T**>(c, heads).data();
    linalg::batched_gemm(context, Op::none, Op::none, T{1}, {scorers(), c, 0}, tokenizer_->weights(group_.first, c),
                         T{0}, {{r_, heads, patch}, c, heads * patch});
    linalg::gemm(context, Op::none, Op::transpose, T{1}, {tokenizer_->beta(group_.first), c, embed}, scorers(), T{0},
                 {sigma_, c, heads});
    context.fill(reshape<T*, Space>(dr_, c * heads * patch), T{0});
    context.fill(reshape<T*, Space>(dsigma_, c * heads), T{0});
  }

  /// Attention weights a [c, h, pitch]; leaves the maximum and the normalizer [h, pitch].
  void weights(Context<Space> const& context, Tiling const& tiling, T const* x, PresentTokens<T> const& present, T* max,
               T* normalizer, T* a) const {
    kernels::scores<T>(context, tiling, group_.count, attention_->heads(), tokenizer_->patch(), x, r_, sigma_, nullptr,
                       nullptr, a);
    kernels::softmax_of_present(context, tiling, group_.count, attention_->heads(), present, a, max, normalizer);
  }

  /// The same weights from the maximum and the normalizer.
  void weights_again(Context<Space> const& context, Tiling const& tiling, T const* x, PresentTokens<T> const& present,
                     T const* max, T const* normalizer, T* a) const {
    kernels::scores<T>(context, tiling, group_.count, attention_->heads(), tokenizer_->patch(), x, r_, sigma_, max,
                       normalizer, a);
    kernels::hide_absent(context, tiling, group_.count, attention_->heads(), present, T{0}, a);
  }

  /// From ds [c, h, pitch]: dsigma += sum of ds over the rows.
  void pull_bias(Context<Space> const& context, Tiling const& tiling, T const* ds) const {
    linalg::add_row_sums(context, tile_matrix(ds, group_.count * attention_->heads(), tiling), dsigma_);
  }
  /// dr += ds x^T. Not where the gradients of W and u get the scores' part through the tokens.
  void pull_patches(Context<Space> const& context, Tiling const& tiling, T const* x, T const* ds) const {
    Index const c = group_.count, heads = attention_->heads(), patch = tokenizer_->patch();
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::transpose, T{1},
                         {tile_matrix(ds, heads, tiling), c, heads * tiling.pitch}, tokenizer_->patches(tiling, x, c),
                         T{1}, {{dr_, heads, patch}, c, heads * patch});
  }
  /// dr [c, h, P], for a caller that adds ds x^T itself where both are in its cache.
  T* patch_gradients() const { return dr_; }

  /// dW_c += u^T dr_c;  dbeta_c += u^T dsigma_c;  du += sum_c dr_c W_c^T + dsigma^T beta; what went through the tokens
  /// is there.
  void finish(Context<Space> const& context, bool through_tokens) const {
    using linalg::Op;
    Index const c = group_.count, heads = attention_->heads(), patch = tokenizer_->patch(), embed = attention_->embed();
    linalg::Matrix<T> const dsigma(dsigma_, c, heads), du(attention_->scorer_gradients(), heads, embed);
    linalg::gemm(context, Op::transpose, Op::none, T{1}, dsigma, {tokenizer_->beta(group_.first), c, embed}, T{1}, du);
    if (through_tokens) return;
    linalg::Batch<T> const dr({dr_, heads, patch}, c, heads * patch);
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, {scorers(), c, 0}, dr, T{1},
                         tokenizer_->weight_gradients(group_.first, c));
    linalg::gemm(context, Op::none, Op::none, T{1}, dsigma, scorers(), T{1},
                 {tokenizer_->beta_gradient(group_.first), c, embed});
    linalg::summed_gemm(context, Op::none, Op::transpose, T{1}, dr, tokenizer_->weights(group_.first, c), T{1}, du);
  }

 private:
  linalg::Matrix<T> scorers() const { return {attention_->scorers(), attention_->heads(), attention_->embed()}; }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
  T *r_ = nullptr, *dr_ = nullptr, *sigma_ = nullptr, *dsigma_ = nullptr;
};

}  // namespace dchag::channels
