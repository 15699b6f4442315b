#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/core/draw.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/random_lanes.hpp>
#include <set>

#include "space.hpp"

TEST_CASE("uniform numbers have the moments of the uniform distribution and lie in [0, 1)") {
  std::uint64_t const key = dchag::random_key(11, "uniform"), count = 200000;
  double mean = 0, square = 0, least = 1, largest = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const u = dchag::random_uniform(key, i);
    mean += u / static_cast<double>(count);
    square += u * u / static_cast<double>(count);
    least = std::min(least, u);
    largest = std::max(largest, u);
  }
  CHECK(mean == doctest::Approx(0.5).epsilon(0.005));
  CHECK(square == doctest::Approx(1.0 / 3).epsilon(0.005));
  CHECK(least >= 0);
  CHECK(largest < 1);
}

TEST_CASE("normal numbers have the first four moments of the normal distribution and are finite") {
  std::uint64_t const key = dchag::random_key(11, "normal"), count = 400000;
  double moments[4] = {};
  for (std::uint64_t i = 0; i < count; ++i) {
    double const x = dchag::random_normal(key, i);
    REQUIRE(std::isfinite(x));
    for (int power = 1; power <= 4; ++power) moments[power - 1] += std::pow(x, power) / static_cast<double>(count);
  }
  CHECK(std::fabs(moments[0]) < 0.006);
  CHECK(moments[1] == doctest::Approx(1).epsilon(0.01));
  CHECK(std::fabs(moments[2]) < 0.02);
  CHECK(moments[3] == doctest::Approx(3).epsilon(0.02));
}

TEST_CASE("neighbouring numbers and those of neighbouring seeds do not go together") {
  std::uint64_t const count = 100000;
  double with_next = 0, with_seed = 0;
  std::uint64_t const key = dchag::random_key(1, "a"), other = dchag::random_key(2, "a");
  for (std::uint64_t i = 0; i < count; ++i) {
    double const x = dchag::random_normal(key, i);
    with_next += x * dchag::random_normal(key, i + 1) / static_cast<double>(count);
    with_seed += x * dchag::random_normal(other, i) / static_cast<double>(count);
  }
  CHECK(std::fabs(with_next) < 0.015);
  CHECK(std::fabs(with_seed) < 0.015);
}

TEST_CASE("a number depends on seed, name and element, and on nothing else") {
  std::uint64_t const key = dchag::random_key(3, "blocks.0.norm1.weight");
  double const first = dchag::random_normal(key, 5);
  dchag::random_normal(key, 6);
  CHECK(dchag::random_normal(dchag::random_key(3, "blocks.0.norm1.weight"), 5) == first);
  CHECK(dchag::random_normal(key, 4) != first);
  CHECK(dchag::random_normal(dchag::random_key(4, "blocks.0.norm1.weight"), 5) != first);
  CHECK(dchag::random_normal(dchag::random_key(3, "blocks.1.norm1.weight"), 5) != first);
}

TEST_CASE("the bits of a hundred thousand numbers are all different") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 100000; ++i) seen.insert(dchag::random_bits(42, i));
  CHECK(seen.size() == 100000);
}

TEST_CASE("normal numbers drawn side by side are those drawn one by one, the same bits in every lane") {
  constexpr int lanes = dchag::normal_lanes<dchag::tests::Space>;
  using Wide = dchag::Lanes<double, lanes>;
  auto const lane_of = [](Wide value, int lane) {
    double all[lanes];
    dchag::store(all, value);
    return all[lane];
  };
  std::uint64_t const key = dchag::random_key(11, "side by side");
  double worst = 0;
  for (std::uint64_t i = 0; i < 200000; i += lanes) {
    Wide const numbers = dchag::random_normals<Wide>(key, i), later = dchag::random_normals<Wide>(key, i + 1);
    for (int lane = 0; lane < lanes; ++lane)
      worst = std::max(worst, std::fabs(lane_of(numbers, lane) - dchag::random_normal(key, i + std::uint64_t(lane))));
    for (int lane = 1; lane < lanes; ++lane) REQUIRE(lane_of(numbers, lane) == lane_of(later, lane - 1));
  }
  CHECK(worst < 4e-15);
}

TEST_CASE("the logarithm that normal numbers are made with is right to rounding, and zero of one") {
  constexpr int lanes = dchag::vector_bytes > 0 ? 2 : 1;
  using Wide = dchag::Lanes<double, lanes>;
  using Bits = dchag::Lanes<std::uint64_t, lanes>;
  auto const log = [](double x) {
    double all[lanes];
    dchag::store(all, dchag::detail::log_lanes<Wide, Bits>(dchag::broadcast<Wide>(x)));
    return all[0];
  };
  double worst = 0;
  for (double x = 0x1p-53; x < 1; x *= 1.00037) worst = std::max(worst, std::fabs(log(x) / std::log(x) - 1));
  CHECK(worst < 1e-15);
  CHECK(log(1.0) == 0);
  CHECK(log(1 - 0x1p-53) == doctest::Approx(-0x1p-53).epsilon(1e-12));
}

TEST_CASE("a tensor that is drawn in ranges has the numbers of the whole one") {
  using Space = dchag::tests::Space;
  dchag::Index const outer = 3, extent = 700, inner = 5;
  Kokkos::View<float*, Space> const whole("whole", outer * extent * inner), held("held", outer * 650 * inner);
  dchag::detail::draw_range<Space>(5, 1.0, 0.5, {1, whole.extent_int(0), 1, {0, whole.extent_int(0)}, 0, 1},
                                   whole.data());
  dchag::detail::draw_range<Space>(5, 1.0, 0.5, {outer, extent, inner, {20, 600}, 0, 650}, held.data());
  dchag::detail::draw_range<Space>(5, 1.0, 0.5, {outer, extent, inner, {650, 50}, 600, 650}, held.data());
  auto const all = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), whole);
  auto const some = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), held);
  CHECK(all(0) == doctest::Approx(1 + 0.5 * dchag::random_normal(5, 0)));
  for (dchag::Index o = 0; o < outer; ++o)
    for (dchag::Index i = 0; i < 650 * inner; ++i) {
      dchag::Index const entry = i / inner < 600 ? i / inner + 20 : i / inner + 50;
      REQUIRE(some(o * 650 * inner + i) == all((o * extent + entry) * inner + i % inner));
    }
}
