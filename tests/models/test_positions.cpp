#include <doctest/doctest.h>

#include <cmath>
#include <dchag/models/positions.hpp>

#include "space.hpp"

using namespace dchag;

TEST_CASE("positions start as the sines and cosines of column and row, features left over as zero") {
  Index const rows = 3, columns = 5, embed = 10;
  Parameters<double, tests::Space> parameters;
  auto const& position = parameters.add("position", {1, rows * columns, embed}, normal(1));
  parameters.allocate(1);
  detail::set_positions(position, rows, columns);
  auto const host =
      Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), position.value<double**>(rows * columns, embed));
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < columns; ++column) {
      double const x = static_cast<double>(column), y = static_cast<double>(row);
      double const frequencies[] = {1, 0.01};
      for (Index i = 0; i < 2; ++i) {
        auto const at = [&](Index feature) { return host(row * columns + column, 2 * feature + i); };
        CHECK(at(0) == doctest::Approx(std::sin(frequencies[i] * x)));
        CHECK(at(1) == doctest::Approx(std::cos(frequencies[i] * x)));
        CHECK(at(2) == doctest::Approx(std::sin(frequencies[i] * y)));
        CHECK(at(3) == doctest::Approx(std::cos(frequencies[i] * y)));
        CHECK(at(4) == 0);
      }
    }
}
