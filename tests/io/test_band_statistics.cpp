#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/band_statistics.hpp>
#include <span>
#include <string>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

TEST_CASE("statistics read window by window are those of all complete pixels, without cancellation") {
  // Band 0 is 1e6 + row, band 1 is -column; column 299 has no data in band 1.
  auto const statistics =
      band_statistics<double>({{"a"}, {"b"}}, 131, 300, [](Window const& window, std::span<double> values) {
        CHECK(window.pixels() <= 64 * 256);
        for (std::size_t i = 0; i < static_cast<std::size_t>(window.pixels()); ++i) {
          Index const row = window.top + static_cast<Index>(i) / window.width,
                      column = window.left + static_cast<Index>(i) % window.width;
          values[i] = 1e6 + static_cast<double>(row);
          values[i + static_cast<std::size_t>(window.pixels())] =
              column == 299 ? INFINITY : -static_cast<double>(column);
        }
      });
  CHECK(statistics[1].name == "b");
  // 0 to n - 1 have the mean (n - 1) / 2 and the variance (n^2 - 1) / 12.
  CHECK(statistics[0].mean == doctest::Approx(1e6 + 65).epsilon(1e-14));
  CHECK(statistics[0].deviation == doctest::Approx(std::sqrt((131.0 * 131 - 1) / 12)).epsilon(1e-10));
  CHECK(statistics[1].mean == doctest::Approx(-149).epsilon(1e-14));
  CHECK(statistics[1].deviation == doctest::Approx(std::sqrt((299.0 * 299 - 1) / 12)).epsilon(1e-12));
}

TEST_CASE("a scene without a complete pixel has no statistics") {
  auto const nothing = [](Window const&, std::span<float> values) { values[0] = NAN; };
  CHECK(holds(error_of([&] { (void)band_statistics<float>({{"a"}}, 1, 1, nothing); }),
              "no pixel of 1 x 1 has data in all"));
  CHECK(holds(error_of([&] { (void)band_statistics<float>({{"a"}}, 0, 1, nothing); }), "0 x 1 pixels"));
}

}  // namespace
}  // namespace dchag::tests
