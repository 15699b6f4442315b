#pragma once

#include <cstdint>
#include <dchag/core/lanes.hpp>
#include <dchag/core/math.hpp>
#include <dchag/core/random.hpp>

namespace dchag {

/// Normal numbers that are drawn side by side: doubles in a register on the host, one on devices.
template <class Space>
inline constexpr int normal_lanes = lane_count<double, Space>;

namespace detail {

/// random_bits() of the counters of every lane.
template <class U>
KOKKOS_FORCEINLINE_FUNCTION U random_bits_lanes(std::uint64_t key, U counter) {
  U z = (counter + 1) * std::uint64_t{0x9e3779b97f4a7c15u} + key;
  z = (z ^ (z >> 30)) * std::uint64_t{0xbf58476d1ce4e5b9u};
  z = (z ^ (z >> 27)) * std::uint64_t{0x94d049bb133111ebu};
  return z ^ (z >> 31);
}

/// The upper 53 bits as a number in [0, 1): they are written below the point of 2^52 in two halves, exactly.
template <class L, class U>
KOKKOS_FORCEINLINE_FUNCTION L uniform_lanes(U bits) {
  U const upper = bits >> 38, lower = (bits >> 11) & std::uint64_t{0x7ffffff};
  constexpr std::uint64_t point = 0x4330000000000000u;  // 2^52
  L const high = same_bits<L>(upper | point) - 0x1p52, low = same_bits<L>(lower | point) - 0x1p52;
  return high * 0x1p-26 + low * 0x1p-53;
}

/// Natural logarithm of numbers in (0, 1], none below the smallest normal one: x = 2^n m with m about 1, and
/// log m = 2 artanh((m - 1) / (m + 1)) by its series.
template <class L, class U>
KOKKOS_FORCEINLINE_FUNCTION L log_lanes(L x) {
  constexpr std::uint64_t root_of_half = 0x3fe6a09e667f3bcdu, sign_and_exponent = 0xfff0000000000000u;
  U const bits = same_bits<U>(x), shift = (bits - root_of_half) & sign_and_exponent;
  L const m = same_bits<L>(bits - shift);
  // shift is 2^52 n modulo 2^64, n from -1022 to 0.
  U const steps = (std::uint64_t{0} - shift) >> 52;
  L const n = 0x1p52 - same_bits<L>(steps | std::uint64_t{0x4330000000000000u});
  L const s = (m - 1.0) / (m + 1.0), square = s * s;
  L series = square * (1.0 / 23) + 1.0 / 21;
  series = series * square + 1.0 / 19;
  series = series * square + 1.0 / 17;
  series = series * square + 1.0 / 15;
  series = series * square + 1.0 / 13;
  series = series * square + 1.0 / 11;
  series = series * square + 1.0 / 9;
  series = series * square + 1.0 / 7;
  series = series * square + 1.0 / 5;
  series = series * square + 1.0 / 3;
  return n * 0.69314718055994531 + 2.0 * (s + s * square * series);
}

/// cos(2 pi u) of numbers in [0, 1): as -cos(2 pi |u - 1/2|) = sin(2 pi (|u - 1/2| - 1/4)), by its series.
template <class L>
KOKKOS_FORCEINLINE_FUNCTION L cosine_of_turns(L u) {
  L const centred = u - 0.5, turns = (centred < 0.0 ? -centred : centred) - 0.25;
  L const x = turns * 6.2831853071795865, square = x * x;
  L series = square * (1.0 / 51090942171709440000.0) - 1.0 / 121645100408832000.0;
  series = series * square + 1.0 / 355687428096000.0;
  series = series * square - 1.0 / 1307674368000.0;
  series = series * square + 1.0 / 6227020800.0;
  series = series * square - 1.0 / 39916800.0;
  series = series * square + 1.0 / 362880.0;
  series = series * square - 1.0 / 5040.0;
  series = series * square + 1.0 / 120.0;
  series = series * square - 1.0 / 6.0;
  return x + x * square * series;
}

}  // namespace detail

/// random_normal(key, first), random_normal(key, first + 1), ... in the lanes of doubles L: where there are several, to
/// within 4e-15, and the same bits whichever lane a number is in.
template <class L>
KOKKOS_FORCEINLINE_FUNCTION L random_normals(std::uint64_t key, std::uint64_t first) {
  constexpr int lanes = static_cast<int>(sizeof(L) / sizeof(double));
  if constexpr (lanes == 1) {
    return random_normal(key, first);
  } else {
    using U = Lanes<std::uint64_t, lanes>;
    U counter{};
    for (int lane = 0; lane < lanes; ++lane) counter[lane] = 2 * (first + static_cast<std::uint64_t>(lane));
    L const one = detail::uniform_lanes<L>(detail::random_bits_lanes(key, counter)),
            other = detail::uniform_lanes<L>(detail::random_bits_lanes(key, counter + 1));
    L radius = -2.0 * detail::log_lanes<L, U>(1.0 - one);
    for (int lane = 0; lane < lanes; ++lane) radius[lane] = Kokkos::sqrt(radius[lane]);
    return radius * detail::cosine_of_turns(other);
  }
}

}  // namespace dchag
