#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/latitude_grid.hpp>
#include <limits>
#include <string>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

double const degree = std::acos(-1.0) / 180;

LatitudeGrid grid(std::vector<double> latitudes) { return {std::move(latitudes), {0, 90, 180, 270}, "file"}; }

std::vector<double> evenly(std::size_t rows, double first, double step) {
  std::vector<double> latitudes;
  for (std::size_t i = 0; i < rows; ++i) latitudes.push_back(first + static_cast<double>(i) * step);
  return latitudes;
}

// numpy.polynomial.legendre.leggauss(6)
TEST_CASE("Gaussian latitudes and weights are the published ones") {
  GaussianLatitudes const six(6);
  std::vector<double> const latitudes{68.82309876, 41.39217282, 13.80505794};
  std::vector<double> const weights{0.17132449, 0.36076157, 0.46791393};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(six.latitudes[i] == doctest::Approx(latitudes[i]).epsilon(1e-9));
    CHECK(six.latitudes[5 - i] == doctest::Approx(-latitudes[i]).epsilon(1e-9));
    CHECK(six.weights[i] == doctest::Approx(weights[i]).epsilon(1e-7));
  }
}

TEST_CASE("a Gaussian grid is recognised from rounded latitudes of either direction, and integrates polynomials") {
  for (std::size_t const rows : {2u, 3u, 6u, 48u, 320u}) {
    auto latitudes = GaussianLatitudes(rows).latitudes;
    for (double& latitude : latitudes) latitude = std::round(latitude * 1000) / 1000;
    CAPTURE(rows);
    CHECK(grid(latitudes).kind() == GridKind::gaussian);
    auto const weights = grid(latitudes).weights();
    CHECK(grid({latitudes.rbegin(), latitudes.rend()}).weights() == weights);
    double mean = 0;  // of sin^2, which is 1/3 over the sphere
    for (std::size_t i = 0; i < rows; ++i)
      mean += weights[i] * std::pow(std::sin(latitudes[i] * degree), 2) / static_cast<double>(rows);
    CHECK(mean == doctest::Approx(1.0 / 3).epsilon(1e-4));
  }
}

TEST_CASE("cells of a regular grid weigh as the cosine of their latitude, and half cells at the poles as their area") {
  auto const centred = grid(evenly(36, 87.5, -5));
  CHECK(centred.kind() == GridKind::regular);
  auto const weights = centred.weights();
  for (std::size_t i = 0; i < 36; ++i)
    CHECK(weights[i] / weights[0] ==
          doctest::Approx(std::cos(centred.latitudes()[i] * degree) / std::cos(87.5 * degree)));

  auto const with_poles = grid(evenly(5, -90, 45));
  CHECK(with_poles.kind() == GridKind::regular);
  double const cap = 1 - std::sin(67.5 * degree), middle = std::sin(67.5 * degree) - std::sin(22.5 * degree),
               equator = 2 * std::sin(22.5 * degree);
  std::vector<double> const areas{cap, middle, equator, middle, cap};
  for (std::size_t i = 0; i < 5; ++i) CHECK(with_poles.weights()[i] == doctest::Approx(areas[i] * 5 / 2));
}

TEST_CASE("cells of any other grid reach to midway between latitudes") {
  auto const uneven = grid({60, 50, 20, 10});
  CHECK(uneven.kind() == GridKind::irregular);
  std::vector<double> const bounds{65, 55, 35, 15, 5};
  double const all = std::sin(65 * degree) - std::sin(5 * degree);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(uneven.weights()[i] ==
          doctest::Approx(4 * (std::sin(bounds[i] * degree) - std::sin(bounds[i + 1] * degree)) / all));
  CHECK(grid({12}).weights() == std::vector{1.0});
}

TEST_CASE("latitudes that are none are one clear error") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(holds(error_of([&] { grid({10, nan, 30}); }), "file: its latitude 1 = nan"));
  CHECK(holds(error_of([&] { grid({10, 95}); }), "is not within 90 degrees"));
  CHECK(holds(error_of([&] { grid({10, 20, 15}); }), "must fall or rise all along"));
  CHECK(holds(error_of([&] { grid({10, 10}); }), "both 10"));
  CHECK(holds(error_of([&] { grid({}); }), "has 0 latitudes"));
  CHECK(holds(error_of([&] { LatitudeGrid({10}, {nan}, "file"); }), "its longitude 0 = nan"));
}

}  // namespace
}  // namespace dchag::tests
