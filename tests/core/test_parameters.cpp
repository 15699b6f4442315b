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

TEST_CASE("a unit has its summed parameters first, then the copied, then the divided ones") {
  Parameters<float> parameters;
  auto const& divided = parameters.add("divided", {4, 10}, normal(1), dchag::Placement::divided(1, 4, 10, {{1, 2}}));
  auto const& copied = parameters.add("copied", {40}, normal(1));
  auto const& summed = parameters.add("summed", {33}, normal(1), dchag::Placement::summed());
  parameters.allocate(1);
  auto const& unit = parameters.units().front();
  CHECK(summed.values == unit.values.data());
  CHECK(copied.values == unit.values.data() + 64);
  CHECK(divided.values == unit.values.data() + 128);
  CHECK(unit.summed == 64);
  CHECK(unit.shared == 128);
  CHECK(unit.size == 160);
  CHECK(unit.owned == std::vector<dchag::OwnedRange>{{0, 160, 0}});
  CHECK(copied.kept.values == copied.values);
  CHECK(copied.kept.count == 40);
  CHECK(unit.parameters.front() == &divided);
}

TEST_CASE("of values that are kept by slices each shard has its own, of what is summed and of the rest") {
  Parameters<double> whole;
  auto const build = [](Parameters<double>& parameters) {
    parameters.begin_unit("one");
    parameters.add("a", {100}, normal(1));
    parameters.add("b", {70}, normal(1), dchag::Placement::summed());
    CHECK(parameters.begin_unit("two") == 1);
    parameters.add("c", {3}, normal(1));
  };
  build(whole);
  whole.allocate(5);
  std::vector<Index> seen(3, 0);
  for (int index = 0; index < 3; ++index) {
    Parameters<double> parts;
    build(parts);
    parts.keep({index, 3, true, true}, nullptr);
    parts.allocate(5);
    auto const &one = parts.units()[0], &two = parts.units()[1];
    // 70 summed numbers are padded to 96, 100 others to 192, 3 to 96: three slices of 32, 64 and 32.
    CHECK(one.size == 96 + 192);
    CHECK(one.owned == std::vector<dchag::OwnedRange>{{32 * index, 32, 0}, {96 + 64 * index, 64, 32}});
    CHECK(two.owned == std::vector<dchag::OwnedRange>{{32 * index, 32, 0}});
    CHECK(parts.section(one.owned[1]) == dchag::Range{96, 192});
    CHECK(one.values.size() == 96);
    CHECK(one.gradients.size() == 96);
    // Two rooms of 288 for values and for gradients each, 96 that arrive, and the slices.
    CHECK(parts.bytes() == (4 * 288 + 96 + 2 * (96 + 32)) * sizeof(double));
    std::size_t which = 0;
    for (char const* name : {"a", "b", "c"}) {
      auto const& kept = parts.find(name)->kept;
      auto const expected = values(whole, name), slice = host<double>(kept.values, kept.count);
      for (Index i = 0; i < kept.count; ++i)
        CHECK(slice[static_cast<std::size_t>(i)] == expected[static_cast<std::size_t>(kept.first + i)]);
      CHECK((kept.count == 0 || kept.first == seen[which]));
      seen[which++] += kept.count;
    }
    auto const all = host<double>(one.values.data(), 96);
    for (std::size_t i = index == 2 ? 6 : 32; i < 32; ++i) CHECK(all[i] == 0);  // padding
  }
  CHECK(seen == std::vector<Index>{100, 70, 3});
  Parameters<double> late;
  late.allocate(1);
  CHECK_THROWS_WITH_AS(late.keep({0, 2}, nullptr), "parameters are sharded after allocation: shard them before",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(Parameters<double>().keep({2, 2}, nullptr), "shard 2 of 2: there is none", dchag::Error);
}

namespace {

struct Recorder : dchag::UnitHooks<Space> {
  std::string* log;
  explicit Recorder(std::string* log) : log(log) {}
  void begin(dchag::Context<Space> const&, Index unit, dchag::Pass pass) override { write('(', unit, pass); }
  void end(dchag::Context<Space> const&, Index unit, dchag::Pass pass) override { write(')', unit, pass); }
  void values_changed() override { *log += '!'; }
  void write(char what, Index unit, dchag::Pass pass) const {
    (*log += what) += std::to_string(unit) + (pass == dchag::Pass::forward ? "f " : "b ");
  }
};

}  // namespace

TEST_CASE("hooks are called around a use, but not at the end of one that an exception leaves") {
  Parameters<double> parameters;
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  { auto const use = parameters.use(context, 0, dchag::Pass::forward); }  // there are none
  parameters.values_changed();
  std::string log;
  parameters.set_hooks(std::make_shared<Recorder>(&log));
  {
    auto const use = parameters.use(context, 3, dchag::Pass::forward);
    CHECK(log == "(3f ");
  }
  CHECK(log == "(3f )3f ");
  log.clear();
  try {
    auto const use = parameters.use(context, 1, dchag::Pass::backward);
    dchag::fail("left");
  } catch (dchag::Error const&) {
    auto const use = parameters.use(context, 2, dchag::Pass::backward);
  }
  CHECK(log == "(1b (2b )2b ");
  parameters.values_changed();
  CHECK(log == "(1b (2b )2b !");
}
