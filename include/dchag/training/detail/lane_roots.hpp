#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <dchag/core/lanes.hpp>
#include <dchag/core/math.hpp>
#include <type_traits>

namespace dchag::detail {

/// Square root of every lane, none of them negative; of a number below the smallest normal one, some number not above
/// 1e-18. On the host, in arithmetic alone: what compilers make of sqrt sets errno and is not done by vectors. The
/// inverse root is guessed from the exponent (error 3.5%; Lomont, Fast inverse square root, 2003), squared away by
/// Newton's method, and the root is corrected once more: the error is at most one unit in the last place.
template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION L lane_roots(L value) {
  if constexpr (sizeof(L) == sizeof(T)) {
    return Kokkos::sqrt(value);
  } else {
    constexpr bool single = sizeof(T) == 4;
    using Bits = std::conditional_t<single, std::uint32_t, std::uint64_t>;
    using BitLanes = Lanes<Bits, static_cast<int>(sizeof(L) / sizeof(T))>;
    constexpr Bits guess = single ? static_cast<Bits>(0x5f375a86u) : static_cast<Bits>(0x5fe6eb50c7b537a9u);
    L inverse = same_bits<L>(guess - (same_bits<BitLanes>(value) >> 1));
    L const half = value * T(0.5);
    for (int step = 0; step < (single ? 2 : 3); ++step) inverse *= T(1.5) - half * inverse * inverse;
    L const root = value * inverse;
    return root + T(0.5) * inverse * (value - root * root);
  }
}

}  // namespace dchag::detail
