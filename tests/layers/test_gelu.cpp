#include <dchag/layers/gelu.hpp>
#include <limits>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

template <class T>
dchag::layers::Normal<T> normal_at(double x) {
  return dchag::layers::lanes_normal<T>(static_cast<T>(x));
}
double distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

}  // namespace

TEST_CASE("the normal distribution in float is right to 2.5e-7 and its density to 1.5e-7") {
  double worst = 0, worst_density = 0;
  for (double x = -15; x < 15; x += 1e-4) {
    double const exact = static_cast<float>(x);
    auto const normal = normal_at<float>(x);
    worst = std::max(worst, std::fabs(normal.distribution - distribution(exact)));
    worst_density =
        std::max(worst_density, std::fabs(normal.density - std::exp(-exact * exact / 2) / std::sqrt(2 * M_PI)));
  }
  CHECK(worst < 2.5e-7);
  CHECK(worst_density < 1.5e-7);
}

TEST_CASE("the normal distribution in float keeps its relative accuracy far below zero and ends in 0 and 1") {
  double worst = 0;
  for (double x = -12.9; x < 0; x += 1e-4)
    worst = std::max(worst, std::fabs(normal_at<float>(x).distribution / distribution(static_cast<float>(x)) - 1));
  CHECK(worst < 2e-5);
  for (double x : {14.0, 1e3, 1e30}) {
    CHECK(normal_at<float>(-x).distribution == 0);
    CHECK(normal_at<float>(x).distribution == 1);
    CHECK(normal_at<float>(x).density == 0);
  }
}

TEST_CASE_TEMPLATE("gelu is x times the normal distribution, also in place", T, float, double) {
  Tensor<T> const u(5, 37, "u", 2), y(5, 37);
  auto const expected = naive::gelu(u.host());
  run([&](auto const& context) { dchag::layers::gelu<Space, T>(context, u, y); });
  CHECK(difference(y.host(), expected) < tolerance<T>);
  Tensor<T> const same(5, 37, "u", 2);
  dchag::Workspace<Space> workspace(0);
  dchag::layers::gelu<Space, T>(dchag::Context<Space>(workspace), same, same);
  CHECK(same.host() == y.host());
}

TEST_CASE_TEMPLATE("gelu of large numbers and of infinities is these, or zero", T, float, double) {
  for (T const large : {T(40), T(1e30), std::numeric_limits<T>::infinity()}) {
    CHECK(dchag::layers::lanes_gelu<T>(large) == large);
    if (std::isfinite(large)) CHECK(dchag::layers::lanes_gelu<T>(-large) == 0);
  }
  CHECK(dchag::layers::lanes_gelu<float>(-std::numeric_limits<float>::infinity()) == 0);
}

TEST_CASE_TEMPLATE("gelu backward multiplies by the derivative, leaves gelu and adds the sums of columns", T, float,
                   double) {
  Index const rows = 70, columns = 21;
  Tensor<T> const y(rows, columns, "u"), slope(rows, columns, "dy"), bias(1, columns, "bias");
  auto const u = y.host(), dy = slope.host();
  auto sums = bias.host();
  std::vector<double> expected(u.size());
  for (std::size_t i = 0; i < u.size(); ++i) {
    expected[i] = dy[i] * (distribution(u[i]) + u[i] * std::exp(-u[i] * u[i] / 2) / std::sqrt(2 * M_PI));
    sums[i % static_cast<std::size_t>(columns)] += expected[i];
  }
  run([&](auto const& context) { dchag::layers::gelu_backward<Space, T>(context, y, slope, bias.view.data()); });
  CHECK(difference(y.host(), naive::gelu(u)) < tolerance<T>);
  CHECK(difference(slope.host(), expected) < tolerance<T>);
  CHECK(difference(bias.host(), sums) < tolerance<T>);
}
