#include <doctest/doctest.h>

#include <cmath>
#include <dchag/core/parameters.hpp>
#include <string>
#include <vector>

#include "space.hpp"

using dchag::constant;
using dchag::Index;
using dchag::normal;
using dchag::tests::Space;

namespace {

template <class T>
using Parameters = dchag::Parameters<T, Space>;

template <class T>
std::vector<T> host(T const* data, Index size) {
  Kokkos::View<T*, Kokkos::HostSpace> copy("copy", static_cast<std::size_t>(size));
  Kokkos::deep_copy(copy, dchag::reshape<T const*, Space>(data, size));
  return std::vector<T>(copy.data(), copy.data() + size);
}
template <class T>
std::vector<T> values(Parameters<T>& parameters, std::string const& name) {
  auto const* const parameter = parameters.find(name);
  REQUIRE(parameter != nullptr);
  return host(parameter->values, parameter->size());
}

}  // namespace

TEST_CASE_TEMPLATE("parameters start the same whatever the order and units in which layers are built", T, float,
                   double) {
  Parameters<T> one, other;
  one.add("a", {3, 50}, normal(0.5));
  one.add("b", {77}, normal(2));
  one.allocate(9);
  other.begin_unit("first");
  other.add("b", {77}, normal(2));
  other.add("c", {5}, constant(0));
  other.begin_unit("second");
  other.add("a", {3, 50}, normal(0.5));
  other.allocate(9);
  CHECK(values(one, "a") == values(other, "a"));
  CHECK(values(one, "b") == values(other, "b"));
}

TEST_CASE("values are drawn per seed, name and element") {
  Parameters<double> parameters, reseeded;
  for (auto* each : {&parameters, &reseeded}) {
    each->add("a", {100}, normal(1));
    each->add("b", {100}, normal(1));
    each->add("a.longer", {200}, normal(1));
  }
  parameters.allocate(1);
  reseeded.allocate(2);
  CHECK(values(parameters, "a") != values(parameters, "b"));
  CHECK(values(parameters, "a") != values(reseeded, "a"));
  auto const longer = values(parameters, "a.longer");
  for (Index i : {0, 1, 57, 199})
    CHECK(longer[static_cast<std::size_t>(i)] ==
          doctest::Approx(dchag::random_normal(dchag::random_key(1, "a.longer"), static_cast<std::uint64_t>(i))));
}

TEST_CASE("values have the mean and deviation asked for") {
  Parameters<double> parameters;
  parameters.add("gain", {40}, constant(1));
  parameters.add("weight", {300, 300}, normal(0.02));
  parameters.allocate(1);
  for (double value : values(parameters, "gain")) CHECK(value == 1);
  double square = 0;
  for (double value : values(parameters, "weight")) square += value * value / 90000;
  CHECK(std::sqrt(square) == doctest::Approx(0.02).epsilon(0.02));
}

TEST_CASE("a name used twice is refused by that name, and so is what comes after allocation") {
  Parameters<float> parameters;
  parameters.add("norm.weight", {4}, constant(1));
  CHECK_THROWS_WITH_AS(parameters.add("norm.weight", {4}, constant(1)),
                       "parameter norm.weight is added twice: give each layer a name of its own", dchag::Error);
  Index const huge = Index{1} << 40;
  CHECK_THROWS_WITH_AS(parameters.add("weight", {huge, huge}, constant(0)),
                       "parameter weight would have 1.20893e+24 elements: check the sizes of the configuration",
                       dchag::Error);
  parameters.allocate(1);
  CHECK_THROWS_AS(parameters.add("late", {4}, constant(1)), dchag::Error);
  CHECK_THROWS_AS(parameters.allocate(1), dchag::Error);
}

TEST_CASE(
    "a unit is one buffer in which parameters stand in order, padded with zeros, with a gradient for each value") {
  Parameters<float> parameters;
  parameters.begin_unit("unit");
  auto const& a = parameters.add("a", {3, 11}, normal(1));
  auto const& b = parameters.add("b", {5}, constant(2));
  CHECK(parameters.count() == 38);
  parameters.allocate(1);
  auto const& unit = parameters.units().front();
  CHECK(unit.name == "unit");
  CHECK(unit.size == 64 + 32);
  CHECK(a.values == unit.values.data());
  CHECK(b.values == unit.values.data() + 64);
  CHECK(b.gradients == unit.gradients.data() + 64);
  auto const whole = host(unit.values.data(), unit.size);
  for (std::size_t i = 33; i < 64; ++i) CHECK(whole[i] == 0);
  for (std::size_t i = 69; i < 96; ++i) CHECK(whole[i] == 0);
  CHECK(a.value<float**>(3, 11).extent(1) == 11);
}

TEST_CASE("gradients start at zero and return to it") {
  Parameters<float> parameters;
  auto const& a = parameters.add("a", {9}, normal(1));
  parameters.allocate(1);
  CHECK(host(a.gradients, 9) == std::vector<float>(9, 0.0f));
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  context.fill(a.gradient<float*>(9), 3.0f);
  parameters.zero_gradients(context);
  Kokkos::fence();
  CHECK(host(a.gradients, 9) == std::vector<float>(9, 0.0f));
}

TEST_CASE("a divided parameter holds the entries of its ranges, drawn as they stand in the whole tensor") {
  Parameters<double> whole, parts;
  whole.add("weight", {3, 5, 4}, normal(1));
  auto const& part = parts.add("weight", {3, 5, 4}, normal(1), dchag::Placement::divided(3, 5, 4, {{1, 1}, {3, 2}}));
  auto const& nothing = parts.add("bias", {7}, normal(1), dchag::Placement::divided(1, 7, 1, {}));
  CHECK(part.size() == 3 * 3 * 4);
  CHECK(part.whole_size() == 60);
  CHECK(nothing.size() == 0);
  CHECK(parts.count() == 36);
  whole.allocate(3);
  parts.allocate(3);
  auto const all = values(whole, "weight"), some = values(parts, "weight");
  Index const entries[] = {1, 3, 4};
  for (Index out = 0; out < 3; ++out)
    for (Index k = 0; k < 3; ++k)
      for (Index in = 0; in < 4; ++in)
        CHECK(some[static_cast<std::size_t>((out * 3 + k) * 4 + in)] ==
              all[static_cast<std::size_t>((out * 5 + entries[k]) * 4 + in)]);
  CHECK_THROWS_WITH_AS(Parameters<double>().add("weight", {3, 5}, normal(1), dchag::Placement::divided(3, 4, 1, {})),
                       "parameter weight: is divided as 3 x 4 x 1 elements, but has 15", dchag::Error);
}
