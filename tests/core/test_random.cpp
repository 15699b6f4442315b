#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/core/random.hpp>
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
