#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <cstring>
#include <dchag/core/lanes.hpp>
#include <type_traits>

namespace dchag {

namespace detail {

/// The lanes of L seen as 32-bit words, and back.
template <class L>
using LaneBits = Lanes<std::uint32_t, static_cast<int>(sizeof(L) / sizeof(std::uint32_t))>;

template <class To, class From>
KOKKOS_FORCEINLINE_FUNCTION To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

/// exp of floats that are not above 88, in registers of any width: x = n ln 2 + r with |r| <= ln(2)/2, exp(r) by a
/// minimax polynomial, and n added to the exponent. Results below the smallest normal number are 0; of the NaN that
/// arithmetic makes NaN, of others any number.
template <class L>
KOKKOS_FORCEINLINE_FUNCTION L polynomial_exp_below(L x) {
  constexpr float lowest = -87.3365447f, rounding = 0x1.8p23f;
  L const shifted = x * 1.44269504f + rounding, n = shifted - rounding;
  L const r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  L tail = r * 1.38145401e-3f + 8.36874511e-3f;
  tail = tail * r + 4.16683908e-2f;
  tail = tail * r + 1.66665204e-1f;
  tail = tail * r + 4.99999934e-1f;
  L const fraction = tail * (r * r) + r + 1.0f;
  auto const exponent = same_bits<LaneBits<L>>(shifted) << 23;  // the rounding constant has no bits that this leaves
  L const result = same_bits<L>(same_bits<LaneBits<L>>(fraction) + exponent);
  return x < lowest ? L{} : result;
}

/// The same of all floats: infinity above, and NaN of NaN.
template <class L>
KOKKOS_FORCEINLINE_FUNCTION L polynomial_exp(L x) {
  constexpr float highest = 88.7228317f;
  L const result = x > highest ? broadcast<L>(__builtin_huge_valf()) : polynomial_exp_below(x);
  return x == x ? result : x;
}

}  // namespace detail

/// exp of every lane. For float on the host: relative error at most 2e-7 where the result is a normal number, else 0 or
/// infinity.
template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION L lanes_exp(L x) {
  if constexpr (std::is_same_v<T, float> && vector_bytes > 0) {
    return detail::polynomial_exp(x);
  } else if constexpr (sizeof(L) == sizeof(T)) {
    return Kokkos::exp(x);
  } else {
    for (int lane = 0; lane < static_cast<int>(sizeof(L) / sizeof(T)); ++lane) x[lane] = Kokkos::exp(x[lane]);
    return x;
  }
}

/// The same of what is not above 88, with less to check.
template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION L lanes_exp_below(L x) {
  if constexpr (std::is_same_v<T, float> && vector_bytes > 0)
    return detail::polynomial_exp_below(x);
  else
    return lanes_exp<T>(x);
}

}  // namespace dchag
