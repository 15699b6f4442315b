#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <vector>

namespace dchag::benchmarks {

using Device = Kokkos::DefaultExecutionSpace;

inline double median(std::vector<double> seconds) {
  auto const middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

/// Numbers of mean zero and variance one, evenly distributed: cheap to draw.
inline Kokkos::View<float*, Device> pixels(Index count) {
  Kokkos::View<float*, Device> const image(Kokkos::view_alloc(Kokkos::WithoutInitializing, "image"),
                                           static_cast<std::size_t>(count));
  Kokkos::parallel_for(
      "image", Kokkos::RangePolicy<Device, Kokkos::IndexType<Index>>(0, count), KOKKOS_LAMBDA(Index i) {
        constexpr double width = 3.4641016151377546;  // of an even distribution of variance one
        image(i) = static_cast<float>(width * (random_uniform(1, static_cast<std::uint64_t>(i)) - 0.5));
      });
  return image;
}

}  // namespace dchag::benchmarks
