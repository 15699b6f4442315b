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
  Index const pitch = tiling.pitch;
  T const* const factor = present.factor;
  context.rows(
      "dchag::channels::hide_absent", tokens * heads, tiling.width, lanes, KOKKOS_LAMBDA(Index row, Index n) {
        T const* const of_token = factor + row / heads * pitch + n;
        T* const place = s + row * pitch + n;
        for (int lane = 0; lane < lanes; ++lane)
          if (of_token[lane] == T{0}) place[lane] = value;
      });
}

/// softmax() over the tokens present: the others' weights are zero. Where a row has none of these tokens its maximum is
/// the lowest number, beside which other ranks' tokens take all of the weight; and if they have none either, what comes
/// of it is finite.
template <class T, class Space>
void softmax_of_present(Context<Space> const& context, Tiling const& tiling, Index tokens, Index heads,
                        PresentTokens<T> const& present, T* s, T* max, T* normalizer) {
  hide_absent(context, tiling, tokens, heads, present, -std::numeric_limits<T>::max(), s);
  softmax(context, tiling, tokens, heads, s, max, normalizer);
  hide_absent(context, tiling, tokens, heads, present, T{0}, s);
}

}  // namespace dchag::channels::kernels
