#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/core/math.hpp>
#include <limits>

#include "space.hpp"

namespace {

constexpr int wide = dchag::vector_bytes > 0 ? dchag::vector_bytes / 4 : 1;
using Wide = dchag::Lanes<float, wide>;

float lane_of(Wide value, int lane) {
  float lanes[wide];
  dchag::store(lanes, value);
  return lanes[lane];
}

}  // namespace

TEST_CASE("exp of floats has a relative error below 2e-7 wherever its result is a normal number") {
  double worst = 0;
  for (double x = -87.3365; x < 88.7228; x += 1.7e-4) {
    float const argument = static_cast<float>(x);
    double const exact = std::exp(static_cast<double>(argument));
    worst = std::max(worst, std::fabs(dchag::lanes_exp<float>(argument) / exact - 1));
  }
  CHECK(worst < 2e-7);
  CHECK(dchag::lanes_exp<float>(0.0f) == 1.0f);
}

TEST_CASE("exp of large negative floats is zero and of large positive ones infinite") {
  float const infinity = std::numeric_limits<float>::infinity();
  for (float x : {-87.5f, -88.0f, -100.0f, -1e4f, -3e38f, -infinity}) {
    INFO("x = ", x);
    CHECK(dchag::lanes_exp<float>(x) == 0.0f);
  }
  for (float x : {88.73f, 100.0f, 1e9f, infinity}) CHECK(dchag::lanes_exp<float>(x) == infinity);
  CHECK(std::isnan(dchag::lanes_exp<float>(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("exp of what is not above 88 is that of any float, and keeps NaN") {
  float const infinity = std::numeric_limits<float>::infinity();
  for (float x : {-infinity, -3e38f, -100.0f, -87.3f, -1.5f, 0.0f, 1e-30f, 0.7f, 88.0f}) {
    INFO("x = ", x);
    CHECK(dchag::lanes_exp_below<float>(x) == dchag::lanes_exp<float>(x));
    CHECK(dchag::lanes_exp_below<double>(static_cast<double>(x)) == std::exp(static_cast<double>(x)));
  }
  float const none = infinity - infinity;
  CHECK(std::isnan(dchag::lanes_exp_below<float>(none)));
  CHECK(std::isnan(dchag::lanes_exp_below<float>(-none)));
}

TEST_CASE("exp of a register is the exp of each of its lanes, bit for bit") {
  float arguments[wide];
  for (int lane = 0; lane < wide; ++lane) arguments[lane] = -120.0f + 15.3f * static_cast<float>(lane);
  arguments[0] = -std::numeric_limits<float>::infinity();
  Wide const result = dchag::lanes_exp<float>(dchag::load<Wide>(arguments));
  for (int lane = 0; lane < wide; ++lane) CHECK(lane_of(result, lane) == dchag::lanes_exp<float>(arguments[lane]));
}

TEST_CASE("exp of doubles is the exp of the library in every lane") {
  constexpr int lanes = std::max(1, wide / 2);
  using L = dchag::Lanes<double, lanes>;
  double arguments[lanes], results[lanes];
  for (int lane = 0; lane < lanes; ++lane) arguments[lane] = -800.0 + 190.7 * lane;
  dchag::store(results, dchag::lanes_exp<double>(dchag::load<L>(arguments)));
  for (int lane = 0; lane < lanes; ++lane) CHECK(results[lane] == std::exp(arguments[lane]));
}
