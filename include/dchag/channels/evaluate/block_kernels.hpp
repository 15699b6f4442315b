#pragma once

#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>

namespace dchag::channels {

namespace detail {

// The loops over a block of tokens, some features of a few channels, which stays in a thread's cache. They go along the
// rows, so that all arrays are read in order. A few channels and features share what is loaded for a head. They are not
// inlined, so that their addresses stay in registers.

// Whether they fetch what the next features take of the heads' array: with AVX-512 that takes longer than it saves.
inline constexpr bool fetches_ahead = vector_bytes < 64;

/// Tokens of a few channels and features with their beta, a register of rows at a time.
template <class T, class L, int channels, int count>
struct BlockTokens {
  T const* tokens;
  Index channel_step, row;
  L bias[channels][count];

  KOKKOS_FORCEINLINE_FUNCTION BlockTokens(T const* tokens, Index channel_step, Index row, T const* beta,
                                          Index beta_step)
      : tokens(tokens), channel_step(channel_step), row(row) {
    for (int k = 0; k < channels; ++k)
      for (int f = 0; f < count; ++f) bias[k][f] = broadcast<L>(beta[k * beta_step + f]);
  }
  KOKKOS_FORCEINLINE_FUNCTION void load_at(Index n, L (&token)[channels][count]) const {
#pragma GCC unroll 4
    for (int k = 0; k < channels; ++k)
#pragma GCC unroll 4
      for (int f = 0; f < count; ++f) token[k][f] = load<L>(tokens + k * channel_step + f * row + n) + bias[k][f];
  }
};

/// sum[e, i, n] (+)= sum_c a[c, i, n] (t[c, e, n] + beta[c, e]).
template <class T, class Space>
struct SumBlock {
  static constexpr int lanes = lane_count<T, Space>, channel_block = 4, feature_block = vector_bytes == 64 ? 4 : 2;
  using L = Lanes<T, lanes>;
  Index heads, features, pitch, width;
  Index beta_step;        // from channel to channel
  T const *a, *t, *beta;  // [c, h, pitch], [c, features, pitch], [c, features]
  T* sum;                 // [features, h, pitch]

  template <int channels, int count>
  [[gnu::noinline]] void run(Index c, Index e, bool accumulate) const {
    Index const row = pitch, step = heads * row, token_step = features * row, columns = width;
    T const* const weights = a + c * step;
    T* const to = sum + e * step;
    T const* ahead = to + count * step;
    BlockTokens<T, L, channels, count> const tokens(t + c * token_step + e * row, token_step, row,
                                                    beta + c * beta_step + e, beta_step);
    for (Index n = 0; n < columns; n += lanes) {
      L token[channels][count];
      tokens.load_at(n, token);
      for (Index at = n; at < step; at += row, ahead += count * lanes) {
        L total[count];
#pragma GCC unroll 4
        for (int f = 0; f < count; ++f) {
          if (fetches_ahead && f * lanes % line == 0) prefetch(ahead + f * lanes);
          total[f] = accumulate ? load<L>(to + f * step + at) : L{};
        }
#pragma GCC unroll 4
        for (int k = 0; k < channels; ++k) {
          L const weight = load<L>(weights + k * step + at);
#pragma GCC unroll 4
          for (int f = 0; f < count; ++f) total[f] += weight * token[k][f];
        }
#pragma GCC unroll 4
        for (int f = 0; f < count; ++f) store(to + f * step + at, total[f]);
      }
    }
  }

  template <int channels>
  void all_features(Index c, bool accumulate) const {
    Index e = 0;
    for (; e + feature_block <= features; e += feature_block) run<channels, feature_block>(c, e, accumulate);
    for (; e < features; ++e) run<channels, 1>(c, e, accumulate);
  }

  void operator()(Index channels, bool accumulate) const {
    Index c = 0;
    for (; c + channel_block <= channels; c += channel_block) all_features<channel_block>(c, accumulate || c > 0);
    for (; c < channels; ++c) all_features<1>(c, accumulate || c > 0);
  }

 private:
  static constexpr int line = 64 / int{sizeof(T)};
};

/// The attention's backward pass through the block: da[c, i, n] += sum_e y[e, i, n] (t[c, e, n] + beta[c, e]);
/// dt[c, e, n] = sum_i a[c, i, n] y[e, i, n].
template <class T, class Space>
struct PullBlock {
  static constexpr int lanes = lane_count<T, Space>, channel_block = 2, feature_block = vector_bytes == 64 ? 4 : 2;
  using L = Lanes<T, lanes>;
  Index heads, features, pitch, width;
  Index beta_step;            // from channel to channel
  T const *a, *y, *t, *beta;  // [c, h, pitch], [features, h, pitch], [c, features, pitch], [c, features]
  T *da, *dt;                 // [c, h, pitch], [c, features, pitch]

  template <int channels, int count>
  [[gnu::noinline]] void run(Index c, Index e) const {
    Index const row = pitch, step = heads * row, token_step = features * row, columns = width;
    T const *const weights = a + c * step, *const pulls = y + e * step;
    T *const slopes = da + c * step, *const out = dt + c * token_step + e * row;
    T const* ahead = pulls + count * step;
    BlockTokens<T, L, channels, count> const tokens(t + c * token_step + e * row, token_step, row,
                                                    beta + c * beta_step + e, beta_step);
    for (Index n = 0; n < columns; n += lanes) {
      L token[channels][count], slope[channels][count] = {};
      tokens.load_at(n, token);
      for (Index at = n; at < step; at += row, ahead += count * lanes) {
        L pull[count];
#pragma GCC unroll 4
        for (int f = 0; f < count; ++f) {
          if (fetches_ahead && f * lanes % line == 0) prefetch(ahead + f * lanes);
          pull[f] = load<L>(pulls + f * step + at);
        }
#pragma GCC unroll 4
        for (int k = 0; k < channels; ++k) {
          L const weight = load<L>(weights + k * step + at);
          L total = load<L>(slopes + k * step + at);
#pragma GCC unroll 4
          for (int f = 0; f < count; ++f) {
            total += pull[f] * token[k][f];
            slope[k][f] += pull[f] * weight;
          }
          store(slopes + k * step + at, total);
        }
      }
#pragma GCC unroll 4
      for (int k = 0; k < channels; ++k)
#pragma GCC unroll 4
        for (int f = 0; f < count; ++f) store(out + k * token_step + f * row + n, slope[k][f]);
    }
  }

  template <int channels>
  void all_features(Index c) const {
    Index e = 0;
    for (; e + feature_block <= features; e += feature_block) run<channels, feature_block>(c, e);
    for (; e < features; ++e) run<channels, 1>(c, e);
  }

  void operator()(Index channels) const {
    Index c = 0;
    for (; c + channel_block <= channels; c += channel_block) all_features<channel_block>(c);
    for (; c < channels; ++c) all_features<1>(c);
  }

 private:
  static constexpr int line = 64 / int{sizeof(T)};
};

}  // namespace detail

}  // namespace dchag::channels
