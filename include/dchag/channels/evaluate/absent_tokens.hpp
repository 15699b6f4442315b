#pragma once

#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/units/unit.hpp>
#include <limits>

// Attention over those of a unit's tokens that a row has. What is absent is overwritten, never multiplied by zero: its
// score may be beyond every number.
namespace dchag::channels::kernels {

/// s[c, i, n] = value where token c is absent from row n. Nothing where all are present.
template <class T, class Space>
void hide_absent(Context<Space> const& context, Tiling const& tiling, Index tokens, Index heads,
                 PresentTokens<T> const& present, T value, T* s) {
  if (present.factor == nullptr) return;
  constexpr int lanes = lane_count<T, Space>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  T const* const factor = present.factor;
  context.loop(
      "dchag::channels::hide_absent", tokens * heads * blocks, KOKKOS_LAMBDA(Index item) {
        Index const n = item % blocks * lanes, row = item / blocks;
        T const* const of_token = factor + row / heads * pitch + n;
        T* const place = s + row * pitch + n;
        for (int lane = 0; lane < lanes; ++lane)
          if (of_token[lane] == T{0}) place[lane] = value;
      });
}

/// Where a row has none of these tokens: the lowest maximum, and a normalizer of zero, by which other ranks' tokens
/// take all of the weight; of one where no rank has any.
template <class T, class Space>
void settle_empty_rows(Context<Space> const& context, Tiling const& tiling, Index tokens, Index heads,
                       PresentTokens<T> const& present, T* max, T* normalizer) {
  Index const width = tiling.width, pitch = tiling.pitch;
  T const lowest = -std::numeric_limits<T>::max();
  context.loop(
      "dchag::channels::settle_empty_rows", width, KOKKOS_LAMBDA(Index n) {
        for (Index c = 0; c < tokens; ++c)
          if (present.factor[c * pitch + n] != T{0}) return;
        for (Index i = 0; i < heads; ++i) {
          max[i * pitch + n] = lowest;
          normalizer[i * pitch + n] = present.count[n] == T{0} ? T{1} : T{0};
        }
      });
}

/// softmax() over the tokens present: the others' weights are zero.
template <class T, class Space>
void softmax_of_present(Context<Space> const& context, Tiling const& tiling, Index tokens, Index heads,
                        PresentTokens<T> const& present, T* s, T* max, T* normalizer) {
  hide_absent(context, tiling, tokens, heads, present, -std::numeric_limits<T>::max(), s);
  softmax(context, tiling, tokens, heads, s, max, normalizer);
  if (present.factor == nullptr) return;
  hide_absent(context, tiling, tokens, heads, present, T{0}, s);
  settle_empty_rows(context, tiling, tokens, heads, present, max, normalizer);
}

}  // namespace dchag::channels::kernels
