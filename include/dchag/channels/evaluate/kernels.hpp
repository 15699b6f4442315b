#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/math.hpp>
#include <type_traits>

// The loops of the channel front end that are not matrix products. In each of them a thread takes one register of rows
// (Lanes) of one tile, so that the same code is a vector loop on a host and a coalesced loop on a device. Symbols:
// c channels or tokens of the unit, i heads, e features, p pixels of a patch, n rows; s scores, a attention weights.
namespace dchag::channels::kernels {

/// Calls f with the largest of 8, 4, 3 and 1 that divides the number of heads and is not above `most`, as a
/// constant.
template <int most = 8, class F>
void with_head_block(Index heads, F const& f) {
  if constexpr (most >= 8)
    if (heads % 8 == 0) return f(std::integral_constant<int, 8>());
  if (heads % 4 == 0) return f(std::integral_constant<int, 4>());
  if (heads % 3 == 0) return f(std::integral_constant<int, 3>());
  f(std::integral_constant<int, 1>());
}

/// s[c, i, n] = sigma[c, i] + sum_p r[c, i, p] x[c, p, n]; with max and normalizer given, exp(s - max) / normalizer
/// instead.
template <class T, class Space, int head_block>
struct Scores {
  static constexpr int lanes = lane_count<T, Space>, together = on_host<Space> ? 2 : 1;  // registers that share weights
  Index heads, patch, width, pitch;
  T const *x, *r, *sigma, *max, *normalizer;  // [c, P, pitch], [c, h, P], [c, h], [h, pitch], [h, pitch]
  T* s;                                       // [c, h, pitch]

  template <int registers>
  KOKKOS_FORCEINLINE_FUNCTION void run(Index c, Index first, Index n) const {
    using L = Lanes<T, lanes>;
    T const* const weights = r + (c * heads + first) * patch;
    L sum[head_block][registers];
    for (int i = 0; i < head_block; ++i)
      for (int k = 0; k < registers; ++k) sum[i][k] = broadcast<L>(sigma[c * heads + first + i]);
    for (Index p = 0; p < patch; ++p) {
      L pixel[registers];
      for (int k = 0; k < registers; ++k) pixel[k] = load<L>(x + (c * patch + p) * pitch + n + k * lanes);
      for (int i = 0; i < head_block; ++i)
        for (int k = 0; k < registers; ++k) sum[i][k] += pixel[k] * weights[i * patch + p];
    }
    for (int i = 0; i < head_block; ++i)
      for (int k = 0; k < registers; ++k) {
        Index const at = (first + i) * pitch + n + k * lanes;
        L score = sum[i][k];
        if (max != nullptr) score = lanes_exp<T>(score - load<L>(max + at)) / load<L>(normalizer + at);
        store(s + c * heads * pitch + at, score);
      }
  }

  KOKKOS_FUNCTION void operator()(Index row, Index n) const {
    Index const groups = heads / head_block, c = row / groups, first = row % groups * head_block;
    if (n + together * lanes <= width) return run<together>(c, first, n);
    for (; n < width; n += lanes) run<1>(c, first, n);
  }
};

template <class T, class Space>
void scores(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index patch, T const* x,
            T const* r, T const* sigma, T const* max, T const* normalizer, T* s) {
  with_head_block<vector_bytes == 32 ? 4 : 8>(heads, [&](auto block) {
    using Kernel = Scores<T, Space, block()>;
    context.rows("dchag::channels::scores", channels * (heads / block()), tiling.width,
                 Kernel::together * Kernel::lanes,
                 Kernel{heads, patch, tiling.width, tiling.pitch, x, r, sigma, max, normalizer, s},
                 moves<T>(channels * (patch + heads) * tiling.width,
                          channels * heads * (patch + (max == nullptr ? 0 : 20)) * tiling.width));
  });
}

/// m[e, n] = bias[e], or += where accumulate.
template <class T, class Space>
void spread_bias(Context<Space> const& context, Tiling const& tiling, Index rows, T const* bias, bool accumulate,
                 T* m) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::spread_bias", rows, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        T* const place = m + row * pitch + n;
        L const value = broadcast<L>(bias[row]);
        store(place, accumulate ? load<L>(place) + value : value);
      },
      moves<T>(rows * tiling.width * (accumulate ? 2 : 1)));
}

/// Turns scores [c, h, pitch] into weights over c in place; leaves the maximum and the normalizer [h, pitch].
template <class T, class Space>
void softmax(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, T* s, T* max,
             T* normalizer) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch, step = heads * pitch;
  context.loop(
      "dchag::channels::softmax", heads * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const at = item / blocks * pitch + item % blocks * lanes;
        L largest = load<L>(s + at), sum{};
        for (Index c = 1; c < channels; ++c) largest = dchag::max(largest, load<L>(s + c * step + at));
        for (Index c = 0; c < channels; ++c) {
          L const weight = lanes_exp<T>(load<L>(s + c * step + at) - largest);
          store(s + c * step + at, weight);
          sum += weight;
        }
        L const scale = broadcast<L>(T{1}) / sum;
        for (Index c = 0; c < channels; ++c) store(s + c * step + at, load<L>(s + c * step + at) * scale);
        store(max + at, largest);
        store(normalizer + at, sum);
      },
      moves<T>(2 * channels * heads * tiling.width, 20 * channels * heads * tiling.width));
}

/// Weights from scores [c, h, pitch] in place, with the maximum and the normalizer that softmax left.
template <class T, class Space>
void weights_again(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, T* s, T const* max,
                   T const* normalizer) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::weights_again", channels * heads, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const at = row % heads * pitch + n;
        T* const place = s + row * pitch + n;
        store(place, lanes_exp<T>(load<L>(place) - load<L>(max + at)) / load<L>(normalizer + at));
      },
      moves<T>(2 * channels * heads * tiling.width, 20 * channels * heads * tiling.width));
}

/// ds[row, n] = a (ds - delta[i, n]), where row is that of a channel and its head i.
template <class T, class Space>
struct SoftmaxGradient {
  static constexpr int lanes = lane_count<T, Space>;
  Index heads, pitch;
  T const *a, *delta;  // [c, h, pitch], [h, pitch]
  T* ds;               // [c, h, pitch]

  KOKKOS_FUNCTION void operator()(Index row, Index n) const {
    using L = Lanes<T, lanes>;
    Index const at = row * pitch + n;
    store(ds + at, load<L>(a + at) * (load<L>(ds + at) - load<L>(delta + row % heads * pitch + n)));
  }
};

/// sum[e, i, n] (+)= sum_c a[c, i, n] (t[c, e, n] + beta[c, e]); beta may be null. Heads stand side by side: features
/// of one head after the other are at multiples of 4 KiB, which fall on the same few cache sets.
template <class T, class Space, int head_block>
struct WeightedSum {
  static constexpr int feature_block = on_host<Space> ? 3 : 2, lanes = lane_count<T, Space>;
  Index channels, heads, embed, pitch;
  bool accumulate;
  T const *a, *t, *beta;  // [c, h, pitch], [c, D, pitch], [c, D]
  T* sum;                 // [D, h, pitch]

  template <int count>
  KOKKOS_FORCEINLINE_FUNCTION void run(Index first, Index e, Index n) const {
    using L = Lanes<T, lanes>;
    L total[head_block][count];
    for (int i = 0; i < head_block; ++i)
      for (int f = 0; f < count; ++f)
        total[i][f] = accumulate ? load<L>(sum + ((e + f) * heads + first + i) * pitch + n) : L{};
    for (Index c = 0; c < channels; ++c) {
      L token[count];  // the features that this thread takes next are fetched: hardware does not guess the stride
      for (int f = 0; f < count; ++f) {
        token[f] = load<L>(t + (c * embed + e + f) * pitch + n);
        prefetch(t + (c * embed + e + count + f) * pitch + n);
        if (beta != nullptr) token[f] += beta[c * embed + e + f];
      }
      for (int i = 0; i < head_block; ++i) {
        L const weight = load<L>(a + (c * heads + first + i) * pitch + n);
        for (int f = 0; f < count; ++f) total[i][f] += weight * token[f];
      }
    }
    for (int i = 0; i < head_block; ++i)
      for (int f = 0; f < count; ++f) store(sum + ((e + f) * heads + first + i) * pitch + n, total[i][f]);
  }

  KOKKOS_INLINE_FUNCTION Index rows() const { return heads / head_block * ceil_div(embed, feature_block); }
  KOKKOS_FUNCTION void operator()(Index row, Index n) const {
    Index const groups = ceil_div(embed, feature_block), first = row / groups * head_block;
    Index e = row % groups * feature_block;
    if (e + feature_block <= embed) return run<feature_block>(first, e, n);
    for (; e < embed; ++e) run<1>(first, e, n);
  }
};

template <class T, class Space>
void weighted_sum(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index embed,
                  T const* a, T const* t, T const* beta, bool accumulate, T* sum) {
  with_head_block<vector_bytes == 32 ? 4 : 8>(heads, [&](auto block) {
    WeightedSum<T, Space, block()> const kernel{channels, heads, embed, tiling.pitch, accumulate, a, t, beta, sum};
    context.rows("dchag::channels::weighted_sum", kernel.rows(), tiling.width, kernel.lanes, kernel,
                 moves<T>((channels * (embed + heads) + heads * embed * (accumulate ? 2 : 1)) * tiling.width,
                          channels * heads * embed * tiling.width));
  });
}

/// The attention's backward pass through the tokens of a chunk, channel-math.md section 3, TokenSpace:
/// ds[c, i, n] = a (sum_e y[e, i, n] (t[c, e, n] + beta[c, e]) - delta[i, n]);
/// dt[c, e, n] = sum_i (a[c, i, n] y[e, i, n] + ds[c, i, n] u[i, e]).
/// dt may be t. beta may be null, and so may u: then the scores' part of dt is left out.
template <class T, class Space, int head_block>
struct PullTokens {
  static constexpr int channel_block = on_host<Space> ? 3 : 2;
  static constexpr Index ahead = 8;  // features that are fetched before they are needed
  Index channels, heads, embed, pitch, blocks;
  T const *a, *delta, *y, *t, *beta, *u;  // [c, h, pitch], [h, pitch], [D, h, pitch], [c, D, pitch], [c, D], [h, D]
  T *ds, *dt;                             // [c, h, pitch], [c, D, pitch]

  template <int count>
  KOKKOS_FORCEINLINE_FUNCTION void run(Index c, Index n) const {
    using L = Lanes<T, lane_count<T, Space>>;
    for (Index first = 0; first < heads; first += head_block) {
      L da[count][head_block] = {};
      for (Index e = 0; e < embed; ++e) {
        L token[count];
        for (int k = 0; k < count; ++k) {
          token[k] = load<L>(t + ((c + k) * embed + e) * pitch + n);
          if (first == 0) prefetch(t + ((c + k) * embed + e + ahead) * pitch + n);
          if (beta != nullptr) token[k] += beta[(c + k) * embed + e];
        }
        for (int i = 0; i < head_block; ++i) {
          L const pull = load<L>(y + (e * heads + first + i) * pitch + n);
          for (int k = 0; k < count; ++k) da[k][i] += pull * token[k];
        }
      }
      for (int i = 0; i < head_block; ++i)
        for (int k = 0; k < count; ++k) {
          Index const at = ((c + k) * heads + first + i) * pitch + n;
          store(ds + at, load<L>(a + at) * (da[k][i] - load<L>(delta + (first + i) * pitch + n)));
        }
    }
    for (Index first = 0; first < heads; first += head_block) {
      L weight[count][head_block];
      for (int i = 0; i < head_block; ++i)
        for (int k = 0; k < count; ++k) weight[k][i] = load<L>(a + ((c + k) * heads + first + i) * pitch + n);
      for (Index e = 0; e < embed; ++e) {
        L total[count];
        for (int k = 0; k < count; ++k) total[k] = first == 0 ? L{} : load<L>(dt + ((c + k) * embed + e) * pitch + n);
        for (int i = 0; i < head_block; ++i) {
          L const pull = load<L>(y + (e * heads + first + i) * pitch + n);
          for (int k = 0; k < count; ++k) total[k] += weight[k][i] * pull;
        }
        for (int k = 0; k < count; ++k) store(dt + ((c + k) * embed + e) * pitch + n, total[k]);
      }
    }
    for (Index first = 0; u != nullptr && first < heads; first += head_block) {
      L slope[count][head_block];
      for (int i = 0; i < head_block; ++i)
        for (int k = 0; k < count; ++k) slope[k][i] = load<L>(ds + ((c + k) * heads + first + i) * pitch + n);
      for (Index e = 0; e < embed; ++e)
        for (int k = 0; k < count; ++k) {
          T* const place = dt + ((c + k) * embed + e) * pitch + n;
          L total = load<L>(place);
          for (int i = 0; i < head_block; ++i) total += slope[k][i] * u[(first + i) * embed + e];
          store(place, total);
        }
    }
  }

  KOKKOS_FUNCTION void operator()(Index item) const {
    Index const groups = ceil_div(channels, channel_block);
    // On a host a block of y stays in the thread's cache while it goes through the channels; on a device rows are
    // coalesced.
    Index const group = on_host<Space> ? item % groups : item / blocks,
                block = on_host<Space> ? item / groups : item % blocks;
    Index const n = block * lane_count<T, Space>;
    Index c = group * channel_block;
    if (c + channel_block <= channels) return run<channel_block>(c, n);
    for (; c < channels; ++c) run<1>(c, n);
  }
};

template <class T, class Space>
void pull_tokens(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index embed,
                 T const* a, T const* delta, T const* y, T const* t, T const* beta, T const* u, T* ds, T* dt) {
  Index const blocks = tiling.width / lane_count<T, Space>;
  with_head_block(heads, [&](auto block) {
    using Kernel = PullTokens<T, Space, block()>;
    context.loop("dchag::channels::pull_tokens", ceil_div(channels, Kernel::channel_block) * blocks,
                 Kernel{channels, heads, embed, tiling.pitch, blocks, a, delta, y, t, beta, u, ds, dt},
                 moves<T>((2 * channels * (embed + heads) + heads * embed) * tiling.width,
                          channels * heads * embed * tiling.width * (u == nullptr ? 2 : 3)));
  });
}

/// scaled[p] = weight x[p] of the pixels of a patch, which are x_step and step apart.
template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION void scale_pixels(Index patch, L weight, T const* x, Index x_step, T* scaled, Index step) {
  for (Index p = 0; p < patch; ++p) store(scaled + p * step, weight * load<L>(x + p * x_step));
}

/// da + sum_p pulled[p] x[p]; then pulled[p] = weight x[p].
template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION L pull_pixels(Index patch, L da, L weight, T const* x, Index x_step, T* pulled,
                                          Index step) {
  for (Index p = 0; p < patch; ++p) {
    L const pixel = load<L>(x + p * x_step);
    da += load<L>(pulled + p * step) * pixel;
    store(pulled + p * step, weight * pixel);
  }
  return da;
}

/// scaled[i, c, p, n] = a[c, i, n] x[c, p, n]
template <class T, class Space>
void scale_patches(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index patch,
                   T const* a, T const* x, T* scaled) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::scale_patches", heads * channels, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const c = row % channels, i = row / channels;
        scale_pixels(patch, load<L>(a + (c * heads + i) * pitch + n), x + c * patch * pitch + n, pitch,
                     scaled + row * patch * pitch + n, pitch);
      },
      moves<T>((heads * channels * patch + channels * (patch + heads)) * tiling.width));
}

/// The attention's backward pass through the patches of a chunk, channel-math.md section 3, PatchSpace, with
/// Y[i, c, p, n] = sum_d dz_i[d, n] G_c(i)[d, p] in `pulled` and the part of da that comes from gamma in ds:
/// ds[c, i, n] = a (ds + sum_p Y x - delta[i, n]); then pulled[i, c, p, n] = a x.
template <class T, class Space>
void pull_patches(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index patch,
                  T const* a, T const* delta, T const* x, T* pulled, T* ds) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::pull_patches", heads * channels, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const c = row % channels, i = row / channels;
        Index const at = (c * heads + i) * pitch + n;
        L const weight = load<L>(a + at);
        L const da = pull_pixels(patch, load<L>(ds + at), weight, x + c * patch * pitch + n, pitch,
                                 pulled + row * patch * pitch + n, pitch);
        store(ds + at, weight * (da - load<L>(delta + i * pitch + n)));
      },
      moves<T>((2 * heads * channels * patch + channels * (patch + 3 * heads)) * tiling.width,
               2 * heads * channels * patch * tiling.width));
}

}  // namespace dchag::channels::kernels
