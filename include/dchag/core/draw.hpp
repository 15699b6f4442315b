#pragma once

#include <cstdint>
#include <dchag/core/lanes.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/placement.hpp>
#include <dchag/core/random_lanes.hpp>
#include <dchag/core/types.hpp>

namespace dchag::detail {

/// One range of the middle axis of a tensor [outer, extent, inner], of which `held` entries stand in memory, `before`
/// of them before the range.
struct DrawnRange {
  Index outer, extent, inner;
  Range range;
  Index before, held;
};

/// mean + deviation * (the normal number of each element of the whole tensor), in the elements of the range.
template <class Space, class T>
void draw_range(std::uint64_t key, double mean, double deviation, DrawnRange const& drawn, T* values) {
  constexpr Index lanes = normal_lanes<Space>, chunk = on_host<Space> ? 1024 : 1;
  Index const run = drawn.range.count * drawn.inner, chunks = ceil_div(run, chunk);
  Index const whole = drawn.extent * drawn.inner, first = drawn.range.begin * drawn.inner,
              held = drawn.held * drawn.inner, before = drawn.before * drawn.inner;
  for_each(
      Space(), "dchag::parameters::draw", drawn.outer * chunks, KOKKOS_LAMBDA(Index item) {
        using L = Lanes<double, static_cast<int>(lanes)>;
        Index const out = item / chunks, begin = item % chunks * chunk, end = Kokkos::min(run, begin + chunk);
        T* const to = values + out * held + before;
        for (Index i = begin; i < end; i += lanes) {
          L numbers{};
          if (deviation != 0)
            numbers = random_normals<L>(key, static_cast<std::uint64_t>(out * whole + first + i)) * deviation;
          double each[lanes];
          store(each, numbers);
          for (Index lane = 0; lane < Kokkos::min(lanes, end - i); ++lane)
            to[i + lane] = static_cast<T>(mean + each[lane]);
        }
      });
  Space().fence("dchag::parameters::draw");
}

}  // namespace dchag::detail
