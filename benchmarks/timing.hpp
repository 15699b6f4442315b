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

/// Numbers as of a standard normal distribution.
inline Kokkos::View<float*, Device> pixels(Index count) {
  Kokkos::View<float*, Device> const image("image", static_cast<std::size_t>(count));
  Kokkos::parallel_for(
      "image", Kokkos::RangePolicy<Device, Kokkos::IndexType<Index>>(0, count),
      KOKKOS_LAMBDA(Index i) { image(i) = static_cast<float>(random_normal(1, static_cast<std::uint64_t>(i))); });
  return image;
}

}  // namespace dchag::benchmarks
