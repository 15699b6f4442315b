#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/field_sums.hpp>
#include <string>
#include <vector>

#include "space.hpp"

using dchag::FieldSums;
using dchag::Index;
using dchag::tests::Space;

namespace {

template <class T>
using Flat = Kokkos::View<T*, typename Space::device_type>;

double const none = std::nan("");  // a fill value

template <class T = double>
Flat<T> device(std::vector<double> const& values) {
  Flat<T> const view("values", values.size());
  auto const host = Kokkos::create_mirror_view(view);
  for (std::size_t i = 0; i < values.size(); ++i) host(i) = static_cast<T>(values[i]);
  Kokkos::deep_copy(view, host);
  return view;
}
template <class T>
dchag::View<T const****, Space> images(Flat<T> const& view, Index batch, Index fields, Index height, Index width) {
  return dchag::reshape<T const****, Space>(static_cast<T const*>(view.data()), batch, fields, height, width);
}
template <class T>
dchag::View<T const*, Space> rows(Flat<T> const& view) {
  return dchag::reshape<T const*, Space>(static_cast<T const*>(view.data()), static_cast<Index>(view.size()));
}

struct Fixture {
  dchag::Workspace<Space> workspace{1 << 20};
  dchag::Context<Space> context{workspace};
};

std::vector<double> waves(Index count, double phase) {
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) values.push_back(std::sin(phase + 1.7 * static_cast<double>(i)));
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("the scores of a forecast are those worked out by hand", T, float, double) {
  Fixture f;
  auto const prediction = device<T>({1, 2, none, 4}), target = device<T>({1, 1, 9.97e36, 2}),
             baseline = device<T>({1, 1, none, 0}), latitudes = device<T>({0.5, 1.5}), mask = device<T>({1, 1, 0, 1}),
             mean = device<T>({0, 1, none, 1});
  dchag::ComparedFields<T, Space> compared{.prediction = images(prediction, 1, 1, 2, 2),
                                           .target = images(target, 1, 1, 2, 2),
                                           .row_weights = rows(latitudes),
                                           .weight = images(mask, 1, 1, 2, 2),
                                           .climatology = images(mean, 1, 1, 2, 2)};
  auto const sums = dchag::field_sums(f.context, compared);
  REQUIRE(sums.size() == 1);
  CHECK(sums[0].weight == 2.5);
  CHECK(sums[0].error == 6.5);  // 0.5 * 1 + 1.5 * 4
  CHECK(sums[0].rmse() == doctest::Approx(std::sqrt(2.6)).epsilon(1e-14));
  CHECK(sums[0].predicted == 14.5);
  CHECK(sums[0].observed == 2);
  CHECK(sums[0].anomaly_correlation() == doctest::Approx(5 / std::sqrt(29.0)).epsilon(1e-14));
  compared.prediction = images(baseline, 1, 1, 2, 2);
  auto const reference = dchag::field_sums(f.context, compared);  // whose squared errors sum to 1.5 * 4
  CHECK(dchag::skill(sums[0], reference[0]) == doctest::Approx(-1.0 / 12).epsilon(1e-13));
  CHECK(dchag::skill(reference[0], reference[0]) == 0);
  compared.prediction = compared.target;
  auto const perfect = dchag::field_sums(f.context, compared);
  CHECK(dchag::skill(perfect[0], reference[0]) == 1);
  CHECK(perfect[0].anomaly_correlation() == doctest::Approx(1).epsilon(1e-14));
  CHECK(std::isnan(FieldSums().rmse()));
  CHECK(f.workspace.used() == 0);
}

TEST_CASE("every field and lead time has its own sums, and those of parts of a batch add up") {
  Fixture f;
  Index const batch = 4, fields = 6, height = 5, width = 37, plane = height * width;
  std::vector<double> const p = waves(batch * fields * plane, 0.1), t = waves(batch * fields * plane, 1.0),
                            w = waves(plane, 0.3), c = waves(fields * plane, 0.7), r = waves(height, 1.2);
  std::vector<double> land;
  for (double value : w) land.push_back(value < 0 ? 0 : value);
  auto const prediction = device(p), target = device(t), mask = device(land), mean = device(c), latitudes = device(r);
  auto const compared = [&](Index first, Index count) {
    return dchag::ComparedFields<double, Space>{
        .prediction = dchag::reshape<double const****, Space>(
            static_cast<double const*>(prediction.data()) + first * fields * plane, count, fields, height, width),
        .target = dchag::reshape<double const****, Space>(
            static_cast<double const*>(target.data()) + first * fields * plane, count, fields, height, width),
        .row_weights = rows(latitudes),
        .weight = images(mask, 1, 1, height, width),
        .climatology = images(mean, 1, fields, height, width)};
  };
  auto const all = dchag::field_sums(f.context, compared(0, batch)),
             some = dchag::field_sums(f.context, compared(0, 1)),
             rest = dchag::field_sums(f.context, compared(1, batch - 1));
  REQUIRE(all.size() == static_cast<std::size_t>(fields));
  FieldSums together;
  for (Index field = 0; field < fields; ++field) {
    CAPTURE(field);
    FieldSums expected;
    for (Index b = 0; b < batch; ++b)
      for (Index i = 0; i < plane; ++i) {
        auto const at = static_cast<std::size_t>((b * fields + field) * plane + i);
        double const weight = land[std::size_t(i)] * r[std::size_t(i / width)];
        double const a = p[at] - c[std::size_t(field * plane + i)], o = t[at] - c[std::size_t(field * plane + i)];
        expected +=
            {weight, weight * (p[at] - t[at]) * (p[at] - t[at]), weight * a * a, weight * o * o, weight * a * o};
      }
    auto const same = [](FieldSums const& found, FieldSums const& known) {
      CHECK(found.weight == doctest::Approx(known.weight).epsilon(1e-12));
      CHECK(found.error == doctest::Approx(known.error).epsilon(1e-12));
      CHECK(found.predicted == doctest::Approx(known.predicted).epsilon(1e-12));
      CHECK(found.observed == doctest::Approx(known.observed).epsilon(1e-12));
      CHECK(found.product == doctest::Approx(known.product).epsilon(1e-12));
    };
    auto const at = static_cast<std::size_t>(field);
    same(all[at], expected);
    same(dchag::total({some[at], rest[at]}), expected);
    together += expected;
  }
  CHECK(dchag::total(all).rmse() == doctest::Approx(together.rmse()).epsilon(1e-12));
  CHECK(dchag::field_sums<double, Space>(f.context,
                                         {.prediction = compared(0, 1).prediction, .target = compared(0, 1).target})[0]
            .weight == plane);
}

TEST_CASE("fields that do not fit each other are refused") {
  Fixture f;
  auto const values = device(waves(64, 0));
  dchag::ComparedFields<double, Space> good{.prediction = images(values, 2, 2, 4, 4),
                                            .target = images(values, 2, 2, 4, 4)};
  auto const refused = [&](auto change) {
    auto compared = good;
    change(compared);
    try {
      dchag::field_sums(f.context, compared);
    } catch (dchag::Error const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused([](auto&) {}) == "");
  CHECK(refused([&](auto& c) { c.target = images(values, 2, 2, 2, 4); }) ==
        "field_sums: predictions of 64 numbers and a target of 32: give both, of one shape");
  CHECK(refused([&](auto& c) { c.weight = images(values, 3, 1, 4, 4); }) ==
        "field_sums: the weight is [3, 1, 4, 4], expected [2 or 1, 2 or 1, 4, 4]");
  CHECK(refused([&](auto& c) { c.climatology = images(values, 1, 1, 4, 2); }) ==
        "field_sums: the climatology is [1, 1, 4, 2], expected [2 or 1, 2 or 1, 4, 4]");
  CHECK(refused([&](auto& c) { c.row_weights = rows(values); }) == "field_sums: 64 row_weights for fields of height 4");
}
