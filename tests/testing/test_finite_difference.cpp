#include <dchag/testing/finite_difference.hpp>
#include <sstream>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

/// Parameters a [3, 4] and b [5] under the loss sum exp(a / 2) + sum i b_i^3, and its gradients.
struct Problem {
  dchag::Parameters<double, Space> parameters;
  std::vector<double> gradient_a, gradient_b;

  Problem() {
    parameters.add("a", {3, 4}, dchag::normal(1));
    parameters.add("b", {5}, dchag::normal(1));
    parameters.allocate(5);
    for (double one : value(parameters, "a")) gradient_a.push_back(std::exp(one / 2) / 2);
    for (double one : value(parameters, "b"))
      gradient_b.push_back(3 * one * one * static_cast<double>(gradient_b.size()));
    put();
  }
  void put() {
    dchag::testing::detail::to_space<Space>(gradient_a, parameters.find("a")->gradients);
    dchag::testing::detail::to_space<Space>(gradient_b, parameters.find("b")->gradients);
  }
  double loss() {
    double total = 0, i = 0;
    for (double one : value(parameters, "a")) total += std::exp(one / 2);
    for (double one : value(parameters, "b")) total += i++ * one * one * one;
    return total;
  }
  dchag::testing::FiniteDifferenceReport check(dchag::testing::FiniteDifferenceOptions const& options = {}) {
    return dchag::testing::check_gradients(
        parameters, [&] { return loss(); }, options);
  }
};

}  // namespace

TEST_CASE("right gradients agree with finite differences and the values are as before") {
  Problem problem;
  auto const before = value(problem.parameters, "a");
  auto const report = problem.check();
  INFO(report);
  CHECK(report.error < 1e-9);
  CHECK(report.checks == 2 * 2 + 6 + 5);
  CHECK(value(problem.parameters, "a") == before);
}

TEST_CASE("one wrong element is found, with the parameter that it is in") {
  Problem problem;
  problem.gradient_a[7] *= 1.01;
  problem.put();
  auto const report = problem.check();
  CHECK(report.error > 1e-3);
  CHECK(report.parameter == "a");
  std::ostringstream text;
  text << report;
  CHECK(text.str().find(" at a") != std::string::npos);
}

TEST_CASE("a wrong element that is looked at by itself is named") {
  Problem problem;
  problem.gradient_b[3] += 10;
  problem.put();
  auto const report = problem.check({.directions = 0, .elements = 40});
  CHECK(report.parameter == "b");
  CHECK(report.element == 3);
  CHECK(report.numeric == doctest::Approx(report.analytic - 10));
}

TEST_CASE("a gradient that is not a number is an error, not agreement") {
  Problem problem;
  problem.gradient_a[1] = std::nan("");
  problem.gradient_b[3] += 10;
  problem.put();
  auto const report = problem.check();
  CHECK(std::isnan(report.error));
  CHECK(report.parameter == "a");
}

TEST_CASE("a gradient of zero where the loss does not depend on the parameter is right") {
  Problem problem;
  auto const report = dchag::testing::check_gradients(problem.parameters, [] { return 3.0; });
  CHECK(report.error == doctest::Approx(1));
  std::fill(problem.gradient_a.begin(), problem.gradient_a.end(), 0.0);
  std::fill(problem.gradient_b.begin(), problem.gradient_b.end(), 0.0);
  problem.put();
  CHECK(dchag::testing::check_gradients(problem.parameters, [] { return 3.0; }).error == 0);
}

TEST_CASE("parameters without values are refused") {
  dchag::Parameters<double, Space> parameters;
  parameters.add("a", {2}, dchag::normal(1));
  CHECK_THROWS_WITH_AS(dchag::testing::check_gradients(parameters, [] { return 0.0; }),
                       "check_gradients: the parameters have no values: call allocate() before", dchag::Error);
}
