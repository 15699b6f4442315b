#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/schedule.hpp>

using dchag::ConstantRate;
using dchag::WarmupCosine;

static_assert(dchag::Schedule<WarmupCosine> && dchag::Schedule<ConstantRate> && !dchag::Schedule<int>);

TEST_CASE("a constant rate is one in every step") {
  CHECK(ConstantRate()(0) == 1);
  CHECK(ConstantRate()(1000000) == 1);
}

TEST_CASE("warm-up rises linearly to one, half a cosine falls to the minimum and stays there") {
  WarmupCosine const schedule{.warmup = 4, .total = 14, .minimum = 0.2};
  CHECK(schedule(0) == 0.25);
  CHECK(schedule(1) == 0.5);
  CHECK(schedule(3) == 1);
  CHECK(schedule(4) == 1);
  CHECK(schedule(9) == doctest::Approx(0.6).epsilon(1e-14));
  CHECK(schedule(11) == doctest::Approx(0.2 + 0.4 * (1 + std::cos(0.7 * std::acos(-1.0)))).epsilon(1e-14));
  CHECK(schedule(13) > 0.2);
  CHECK(schedule(14) == 0.2);
  CHECK(schedule(1000) == 0.2);
}

TEST_CASE("without warm-up the first step has the whole rate") {
  CHECK(WarmupCosine{.total = 10}(0) == 1);
  CHECK(WarmupCosine{.total = 10}(5) == doctest::Approx(0.5));
}

TEST_CASE("a warm-up that does not end before the run is an error") {
  CHECK_THROWS_WITH_AS((WarmupCosine{.warmup = 10, .total = 10}(0)),
                       "WarmupCosine: warmup = 10, total = 10: the warm-up must end before the run does", dchag::Error);
  CHECK_THROWS_AS(WarmupCosine{}(0), dchag::Error);
}
