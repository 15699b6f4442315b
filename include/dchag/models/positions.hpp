#pragma once

#include <cmath>
#include <dchag/core/loops.hpp>
#include <dchag/core/parameters.hpp>

namespace dchag::detail {

/// Sets a position embedding [1, rows * columns, D] to the sines and cosines of each location's column and row
/// at D/4 frequencies from 1 to 1/10000 (Vaswani et al., arXiv 1706.03762, in two dimensions; features left over stay
/// zero), so that near locations start alike.
template <class T, class Space>
void set_positions(Parameter<T, Space> const& parameter, Index rows, Index columns) {
  Index const embed = parameter.shape.back(), quarter = embed / 4;
  Kokkos::View<T**, Kokkos::LayoutRight, Kokkos::HostSpace> const host(
      "dchag::positions", static_cast<std::size_t>(rows * columns), static_cast<std::size_t>(embed));
  for (Index location = 0; location < rows * columns; ++location)
    for (Index i = 0; i < quarter; ++i) {
      double const frequency = std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(quarter));
      double const x = frequency * static_cast<double>(location % columns),
                   y = frequency * static_cast<double>(location / columns);
      double const features[] = {std::sin(x), std::cos(x), std::sin(y), std::cos(y)};
      for (Index k = 0; k < 4; ++k) host(location, k * quarter + i) = static_cast<T>(features[k]);
    }
  auto const& kept = parameter.kept;
  copy(Space(), reshape<T*, Space>(kept.values, kept.count),
       reshape<T const*, Kokkos::HostSpace>(host.data() + kept.first, kept.count));
  Space().fence("dchag::positions");
}

}  // namespace dchag::detail
