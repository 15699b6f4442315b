#pragma once

#include <Kokkos_Core.hpp>
#include <cstring>
#include <dchag/core/types.hpp>
#include <type_traits>
#include <utility>

namespace dchag {

// Where the rows of a tile are the fastest index, a host thread works on one vector register of rows at a time and a
// device thread on one row: the same kernel with another number of lanes. Device compilers do without vector types
// altogether.
#if defined(__CUDACC__) || defined(__HIPCC__)
inline constexpr int vector_bytes = 0;
#elif defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

template <class Space>
inline constexpr bool on_host = std::is_same_v<typename Space::memory_space, Kokkos::HostSpace>;

/// Rows that one thread of the space takes at a time.
template <class T, class Space>
inline constexpr int lane_count = on_host<Space>&& vector_bytes > 0 ? vector_bytes / static_cast<int>(sizeof(T)) : 1;

namespace detail {
template <class T, int count>
struct LaneType {
  typedef T type __attribute__((vector_size(count * sizeof(T))));
};
template <class T>
struct LaneType<T, 1> {
  using type = T;
};
}  // namespace detail

/// `count` values side by side, with the arithmetic of T.
template <class T, int count>
using Lanes = typename detail::LaneType<T, count>::type;

template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION L load(T const* from) {
  L value;
  if constexpr (sizeof(L) == sizeof(T))
    value = *from;
  else
    std::memcpy(&value, from, sizeof(L));
  return value;
}

template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION void store(T* to, L value) {
  if constexpr (sizeof(L) == sizeof(T))
    *to = value;
  else
    std::memcpy(to, &value, sizeof(L));
}

/// Starts to bring a cache line to a host's caches; the address need not be valid. Nothing on devices.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION void prefetch([[maybe_unused]] T const* line) {
#if !defined(__CUDACC__) && !defined(__HIPCC__)
  __builtin_prefetch(line);
#endif
}

/// The same of a line that will be written.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION void prefetch_to_write([[maybe_unused]] T const* line) {
#if !defined(__CUDACC__) && !defined(__HIPCC__)
  __builtin_prefetch(line, 1);
#endif
}

/// How many numbers ahead of where it is a loop through memory fetches: hardware alone leaves a fifth of the bandwidth
/// unused where a few dozen instructions are done with each register.
template <class T>
inline constexpr Index fetch_distance = 1024 / sizeof(T);

/// The same value in every lane.
template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION L broadcast(T value) {
  if constexpr (sizeof(L) == sizeof(T))
    return value;
  else
    return value - L{};
}

template <class L, class T>
KOKKOS_FORCEINLINE_FUNCTION T sum_lanes(L value, T const*) {
  if constexpr (sizeof(L) == sizeof(T)) {
    return value;
  } else {
    using Half = Lanes<T, static_cast<int>(sizeof(L) / sizeof(T)) / 2>;
    Half halves[2];
    std::memcpy(halves, &value, sizeof(L));
    return sum_lanes(static_cast<Half>(halves[0] + halves[1]), static_cast<T const*>(nullptr));
  }
}

#if __has_builtin(__builtin_shufflevector) && !defined(__CUDACC__) && !defined(__HIPCC__)
#define DCHAG_CORE_SHUFFLES_LANES
#endif

namespace detail {

#if defined(DCHAG_CORE_SHUFFLES_LANES)
/// Two rows of a square, seen as blocks of `step` lanes: those beside the diagonal change places.
template <int step, class L, int... lane>
void exchange_blocks(L& first, L& second, std::integer_sequence<int, lane...>) {
  constexpr int count = sizeof...(lane);
  L const upper = __builtin_shufflevector(first, second, ((lane & step) == 0 ? lane : count + lane - step)...);
  second = __builtin_shufflevector(first, second, ((lane & step) == 0 ? lane + step : count + lane)...);
  first = upper;
}

template <int step, class L, int count>
void transpose_blocks(L (&rows)[count]) {
  if constexpr (step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i)
      if ((i & step) == 0) exchange_blocks<step>(rows[i], rows[i + step], std::make_integer_sequence<int, count>());
    transpose_blocks<step / 2>(rows);
  }
}
#endif

}  // namespace detail

/// As many registers as each has lanes of T, a square matrix, become its transpose. On hosts.
template <class T, class L, int count>
void transpose_lanes(L (&rows)[count]) {
  static_assert(sizeof(L) == count * sizeof(T));
#if defined(DCHAG_CORE_SHUFFLES_LANES)
  detail::transpose_blocks<count / 2>(rows);
#else
  T values[count][count], turned[count][count];
  for (int i = 0; i < count; ++i) store(values[i], rows[i]);
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < count; ++j) turned[i][j] = values[j][i];
  for (int i = 0; i < count; ++i) rows[i] = load<L>(turned[i]);
#endif
}

namespace detail {
/// As turn_rows(), in whole squares of lanes from k = first on. Answers how far they go.
template <int side, int lanes, class T, class From>
KOKKOS_FORCEINLINE_FUNCTION Index turn_squares(From const& from, Index first, Index count, T* to, Index step) {
  if constexpr (lanes % side == 0)
    for (; first + side <= count; first += side)
      for (int lane = 0; lane < lanes; lane += side) {
        using L = Lanes<T, side>;
        L square[side];
        for (int i = 0; i < side; ++i) square[i] = load<L>(from(lane + i) + first);
        transpose_lanes<T>(square);
        for (int i = 0; i < side; ++i) store(to + (first + i) * step + lane, square[i]);
      }
  return first;
}
}  // namespace detail

/// to[k * step + lane] = from(lane)[k] for k in [0, count): what stands in rows at from(lane) comes to stand in
/// columns.
template <int lanes, class T, class From>
KOKKOS_FORCEINLINE_FUNCTION void turn_rows(From const& from, Index count, T* to, Index step) {
  Index k = 0;
  if constexpr (lanes > 1) {
    if constexpr (lanes > 8) k = detail::turn_squares<lanes, lanes>(from, k, count, to, step);
    k = detail::turn_squares<8, lanes>(from, k, count, to, step);
    k = detail::turn_squares<4, lanes>(from, k, count, to, step);
  }
  for (; k < count; ++k)
    for (int lane = 0; lane < lanes; ++lane) to[k * step + lane] = from(lane)[k];
}

template <class L>
KOKKOS_FORCEINLINE_FUNCTION L max(L a, L b) {
  return a > b ? a : b;
}

}  // namespace dchag
