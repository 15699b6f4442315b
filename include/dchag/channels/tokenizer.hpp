#pragma once

#include <cmath>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/reduce.hpp>
#include <vector>

namespace dchag::channels {

/// The patch embedding W [C, D, P] of each channel and beta [C, D], the sum of patch bias and channel embedding, of the
/// channels that this rank owns; they are counted among these.
template <class T, class Space>
class Tokenizer {
 public:
  /// Of `channels` channels those of the ranges, which are no other rank's; unless `sharing` says that they are every
  /// rank's.
  Tokenizer(Parameters<T, Space>& parameters, Index channels, Index embed, Index patch_pixels,
            std::vector<Range> const& own, Sharing sharing = Sharing::divided)
      : embed_(embed), patch_(patch_pixels) {
    auto const rows_of = [&](Index size) {
      return sharing == Sharing::divided ? Placement::divided(1, channels, size, own) : Placement{sharing};
    };
    weight_ = &parameters.add("tokenizer.weight", {channels, embed, patch_},
                              normal(std::sqrt(2.0 / static_cast<double>(embed + patch_))), rows_of(embed * patch_));
    bias_ = &parameters.add("tokenizer.bias", {channels, embed}, constant(0), rows_of(embed));
    channel_embed_ = &parameters.add("channel_embed", {channels, embed}, normal(0.02), rows_of(embed));
    for (Range const& range : own) channels_ += range.count;
  }
  Tokenizer(Parameters<T, Space>& parameters, Index channels, Index embed, Index patch_pixels)
      : Tokenizer(parameters, channels, embed, patch_pixels, {{0, channels}}) {}

  Index channels() const { return channels_; }
  Index embed() const { return embed_; }
  Index patch() const { return patch_; }  // P, pixels
  T* weight(Index channel) const { return weight_->values + channel * embed_ * patch_; }
  T* weight_gradient(Index channel) const { return weight_->gradients + channel * embed_ * patch_; }
  T* beta(Index channel) const { return beta_ + channel * embed_; }
  T* beta_gradient(Index channel) const { return dbeta_ + channel * embed_; }

  /// W of `count` channels, and their gradients, as a batch of [D, P].
  linalg::Batch<T> weights(Index first, Index count) const {
    return {{weight(first), embed_, patch_}, count, embed_ * patch_};
  }
  linalg::Batch<T> weight_gradients(Index first, Index count) const {
    return {{weight_gradient(first), embed_, patch_}, count, embed_ * patch_};
  }
  /// The patches [count, P, pitch] of a tile as a batch of [P, width].
  linalg::Batch<T const> patches(Tiling const& tiling, T const* x, Index count) const {
    return {tile_matrix(x, patch_, tiling), count, patch_ * tiling.pitch};
  }
  linalg::Batch<T> tokens(Tiling const& tiling, T* t, Index count) const {
    return {tile_matrix(t, embed_, tiling), count, embed_ * tiling.pitch};
  }

  void prepare(Context<Space> const& context) {
    Index const size = channels_ * embed_;
    beta_ = context.workspace().template push<T*>(size).data();
    dbeta_ = context.workspace().template push<T*>(size).data();
    T* const beta = beta_;
    T const *bias = bias_->values, *embedding = channel_embed_->values;
    context.loop(
        "dchag::channels::beta", size, KOKKOS_LAMBDA(Index at) { beta[at] = bias[at] + embedding[at]; },
        moves<T>(3 * size));
    context.fill(reshape<T*, Space>(dbeta_, size), T{0});
  }

  void finish(Context<Space> const& context) const {
    T *bias = bias_->gradients, *embedding = channel_embed_->gradients;
    T const* dbeta = dbeta_;
    context.loop(
        "dchag::channels::dbeta", channels_ * embed_,
        KOKKOS_LAMBDA(Index at) {
          bias[at] += dbeta[at];
          embedding[at] += dbeta[at];
        },
        moves<T>(5 * channels_ * embed_));
  }

  /// t[c, e, n] = sum_p W[c, e, p] x[c, p, n], without beta, for `count` channels from `first`; x and t start there.
  void project(Context<Space> const& context, Tiling const& tiling, Index first, Index count, T const* x, T* t) const {
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1}, weights(first, count),
                         patches(tiling, x, count), T{0}, tokens(tiling, t, count));
  }

  /// t[c, e, n] += beta[c, e], for `count` channels from `first`; t starts there.
  void add_beta(Context<Space> const& context, Tiling const& tiling, Index first, Index count, T* t) const {
    kernels::spread_bias(context, tiling, count * embed_, static_cast<T const*>(beta(first)), true, t);
  }

  /// Adds the gradients of W and beta from those of the tokens [count, D, pitch].
  void pull(Context<Space> const& context, Tiling const& tiling, Index first, Index count, T const* x, T* dt) const {
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, tokens(tiling, dt, count),
                         patches(tiling, x, count), T{1}, weight_gradients(first, count));
    linalg::add_row_sums(context, tile_matrix(dt, count * embed_, tiling), beta_gradient(first));
  }

 private:
  Index channels_ = 0, embed_, patch_;
  Parameter<T, Space>*weight_, *bias_, *channel_embed_;
  T *beta_ = nullptr, *dbeta_ = nullptr;
};

}  // namespace dchag::channels
