#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/channel_statistics.hpp>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

TEST_CASE("a mean and a deviation are those of the values that are there, by weight") {
  StatisticsSum sum;
  std::vector<float> const field{1, 2, std::numeric_limits<float>::quiet_NaN(), 6};
  std::vector<double> const weights{3, 1};
  sum.add_field(std::span<float const>(field), weights);
  auto const statistics = sum.result("t");  // weights 3, 3, 1
  CHECK(statistics.name == "t");
  CHECK(statistics.mean == doctest::Approx((3 * 1 + 3 * 2 + 6) / 7.0));
  CHECK(statistics.deviation == doctest::Approx(std::sqrt((3 * 1 + 3 * 4 + 36) / 7.0 - std::pow(15.0 / 7, 2))));
  CHECK(holds(error_of([] { StatisticsSum().result("ice"); }), "\"ice\" has no value"));
}

TEST_CASE("a large mean does not cost the digits of the deviation") {
  StatisticsSum sum;
  for (int i = 0; i < 1000; ++i) sum.add(1e9 + i % 2);
  CHECK(sum.result("pressure").mean == doctest::Approx(1e9 + 0.5));
  CHECK(sum.result("pressure").deviation == doctest::Approx(0.5));
}

TEST_CASE("statistics come back from JSON to the bit, and are found by name") {
  std::vector<ChannelStatistics> const statistics{{"t_850", 281.3, 1.0 / 3}, {"q", 0, 0}};
  std::string const text = dump_json(statistics_json(statistics));
  auto const back = statistics_from(parse_json(text, "text"));
  CHECK(back == statistics);
  CHECK(statistics_of(back, "q") == statistics[1]);
  CHECK(error_of([&] { statistics_of(back, "z"); }) ==
        "statistics: there are none of the channel \"z\", only of: t_850, q");
}

TEST_CASE("statistics that are none are refused by name") {
  auto const refusal = [](char const* text) { return error_of([&] { statistics_from(parse_json(text, "text")); }); };
  CHECK(holds(refusal("{}"), "expected an array"));
  CHECK(holds(refusal(R"([{"name":"t","mean":1}])"), "\"deviation\" is missing"));
  CHECK(holds(refusal(R"([{"name":"t","mean":"x","deviation":1}])"), "\"mean\" is a string"));
  CHECK(holds(refusal(R"([{"name":"t","mean":1,"deviation":-1}])"), "deviation = -1"));
  CHECK(holds(refusal(R"([{"name":"t","mean":1,"deviation":1},{"name":"t","mean":1,"deviation":1}])"), "twice"));
}

}  // namespace
}  // namespace dchag::tests
