#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/plot.hpp>
#include <string>
#include <utility>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

constexpr Colour red{255, 0, 0}, blue{0, 0, 255};

std::size_t count(Picture const& picture, Colour colour) {
  std::size_t found = 0;
  for (Colour const pixel : picture.pixels()) found += pixel == colour;
  return found;
}

Picture drawn(std::vector<Curve> curves, int width = 600, int height = 400) {
  Plot plot("title", "x", "y");
  for (Curve& curve : curves) plot.add(std::move(curve));
  return plot.draw(width, height);
}

TEST_CASE("ticks are round numbers inside the range, told apart by their text") {
  detail::Ticks const wave(380, 2520, 6), small(0.0213, 0.0987, 5), wide(-3e9, 2e9, 4);
  CHECK(wave.values == std::vector<double>{500, 1000, 1500, 2000, 2500});
  CHECK(wave.text(500) == "500");
  CHECK(small.text(small.values.front()) == "0.04");
  CHECK(small.values.size() == 3);
  CHECK(wide.text(wide.values.front()) == "-2e+09");
  CHECK(detail::Ticks(-1, 1, 4).text(-0.0) == "0.0");
}

TEST_CASE("ticks of a logarithmic axis are powers of ten, with their doubles and fives where there is room") {
  auto const texts = [](double low, double high, double wanted) {
    std::string all;
    for (detail::Tick const& tick : detail::logarithmic_ticks(low, high, wanted)) all += tick.text + " ";
    return all;
  };
  CHECK(texts(0, 4.01, 6) == "1 10 100 1000 10000 ");
  CHECK(texts(1.2, 3.61, 8) == "20 50 100 200 500 1000 2000 ");
  CHECK(texts(-2, 1, 4) == "0.01 0.1 1 10 ");
  CHECK(texts(0, 12, 4) == "1 1000 1e+06 1e+09 1e+12 ");
  CHECK(detail::logarithmic_ticks(0.2, 0.4, 6).front().place == doctest::Approx(std::log10(2.0)));
}

TEST_CASE("on logarithmic axes equal factors are equal ways, and what is not positive interrupts a curve") {
  auto const plotted = [](std::vector<double> y) {
    Plot plot("", "", "");
    plot.scales(Scale::logarithmic, Scale::logarithmic).add({"", {1, 10, 100}, std::move(y), red});
    return plot.draw(600, 400);
  };
  auto const row = [](Picture const& picture, int column) {
    int y = 0;
    while (y < picture.height() && picture.at(column, y) != red) ++y;
    return y;
  };
  // One factor of ten up to the middle of the axis, three behind it.
  Picture const bent = plotted({1, 10, 10000});
  int const before = row(bent, 200) - row(bent, 260), behind = row(bent, 400) - row(bent, 460);
  CHECK(before > 10);
  CHECK(std::abs(3 * before - behind) <= 6);
  CHECK(count(plotted({1, -1, 10000}), red) == 0);
}

TEST_CASE("a curve crosses the plot, a dashed one with less ink, and stops where it is not finite") {
  std::vector<double> x, y;
  for (int i = 0; i <= 100; ++i) {
    x.push_back(i);
    y.push_back(i * i);
  }
  auto const solid = count(drawn({{"", x, y, red}}), red);
  auto const dashed = count(drawn({{"", x, y, red, true}}), red);
  CHECK(solid > 300);
  CHECK(dashed > solid / 3);
  CHECK(dashed < solid);
  for (std::size_t i = 30; i < 70; ++i) y[i] = NAN;
  CHECK(count(drawn({{"", x, y, red}}), red) < solid);
}

TEST_CASE("a higher curve is drawn above a lower one") {
  Picture const picture = drawn({{"", {0, 1}, {2, 2}, red}, {"", {0, 1}, {1, 1}, blue}});
  int red_row = 0, blue_row = 0;
  for (int row = 0; row < picture.height(); ++row) {
    if (picture.at(picture.width() / 2, row) == red) red_row = row;
    if (picture.at(picture.width() / 2, row) == blue) blue_row = row;
  }
  CHECK(red_row > 0);
  CHECK(red_row < blue_row);
}

TEST_CASE("a name in the legend adds a sample of the curve") {
  CHECK(count(drawn({{"name", {}, {}, red}}), red) > 0);
  CHECK(count(drawn({{"", {}, {}, red}}), red) == 0);
}

TEST_CASE("empty, constant and odd data are drawn, impossible ones refused") {
  drawn({});
  drawn({{"a", {}, {}}});
  drawn({{"a", {1}, {5}}});
  drawn({{"a", {1, 1}, {0, 0}}});
  drawn({{"a", {NAN, 1}, {0, INFINITY}}});
  drawn({{"a", {1e17, 1e17 + 16}, {1e-300, 2e-300}}});
  drawn({{std::string(500, 'n'), {0, 1}, {0, 1}}}, 20, 10);
  CHECK(holds(error_of([] { drawn({{"a", {1, 2}, {1}}}); }), "curve a has 2 x, but 1 y"));
  CHECK(holds(error_of([] { drawn({{"a", {0, 1}, {-1.7e308, 1.7e308}}}); }), "too far apart"));
}

}  // namespace
}  // namespace dchag::tests
