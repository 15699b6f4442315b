#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/loss.hpp>
#include <numeric>
#include <vector>

#include "space.hpp"

namespace {

using dchag::Index;
using dchag::tests::Space;

template <class T>
using Flat = Kokkos::View<T*, typename Space::device_type>;

struct Fixture {
  dchag::Workspace<Space> workspace{1 << 20};
  dchag::Context<Space> context{workspace};
};

template <class T>
Flat<T> numbers(Index count, double phase) {
  Flat<T> const view("numbers", count);
  auto const host = Kokkos::create_mirror_view(view);
  for (Index i = 0; i < count; ++i) host(i) = static_cast<T>(std::sin(phase + 1.7 * double(i)));
  Kokkos::deep_copy(view, host);
  return view;
}

template <class T>
std::vector<double> host(Flat<T> const& view) {
  auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
  return {mirror.data(), mirror.data() + mirror.size()};
}

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;

}  // namespace

TEST_CASE("latitude weights are cosines with mean one, symmetric about the equator") {
  auto const weights = dchag::latitude_weights(32);
  CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == doctest::Approx(32).epsilon(1e-14));
  CHECK(weights[0] == doctest::Approx(weights[31]).epsilon(1e-12));
  double const pi = std::acos(-1.0);
  CHECK(weights[0] / weights[15] == doctest::Approx(std::cos(pi * 31 / 64) / std::cos(pi / 64)).epsilon(1e-12));
  CHECK(dchag::latitude_weights(1)[0] == doctest::Approx(1));
  CHECK_THROWS_WITH_AS(dchag::latitude_weights(0), "latitude_weights: height = 0: give at least one row", dchag::Error);
}

TEST_CASE_TEMPLATE("the latitude-weighted error is a mean over all elements, and its gradient the derivative", T, float,
                   double) {
  Fixture f;
  Index const batch = 3, channels = 2, height = 5, width = 37, count = batch * channels * height * width;
  auto const p = numbers<T>(count, 0.1), t = numbers<T>(count, 2.0), w = numbers<T>(height, 0.9);
  Flat<T> const g("gradient", count);
  auto const images = [&](Flat<T> const& view) {
    return dchag::reshape<T****, Space>(view.data(), batch, channels, height, width);
  };
  auto const weights = dchag::reshape<T const*, Space>(w.data(), height);

  double expected = 0;
  auto const ph = host(p), th = host(t), wh = host(w);
  std::vector<double> gradient;
  for (Index i = 0; i < count; ++i) {
    double const weight = wh[i / width % height], difference = ph[i] - th[i];
    expected += weight * difference * difference / double(count);
    gradient.push_back(0.5 * 2 * weight * difference / double(count));
  }
  double const value = dchag::latitude_weighted_mse(f.context, images(p), images(t), weights);
  double const both = dchag::latitude_weighted_mse(f.context, images(p), images(t), weights, 0.5, images(g));
  CHECK(value == doctest::Approx(expected).epsilon(tolerance<T>));
  CHECK(both == doctest::Approx(expected).epsilon(tolerance<T>));
  double const in_place = dchag::latitude_weighted_mse(f.context, images(p), images(t), weights, 0.5, images(p));
  CHECK(in_place == both);
  CHECK(host(p) == host(g));
  auto const gh = host(g);
  for (Index i = 0; i < count; ++i) CHECK(std::abs(gh[i] - gradient[i]) <= tolerance<T> / double(count));
  CHECK(f.workspace.used() == 0);
}

TEST_CASE("latitudes of a grid count by their cosines in either direction, and given weights as they are") {
  std::vector<double> const latitudes{60, 0, -30, -90};
  double const sum = 0.5 + 1 + std::sqrt(0.75) + 0;
  auto const weights = dchag::weights_of_latitudes(latitudes), turned = dchag::weights_of_latitudes({-90, -30, 0, 60});
  std::vector<double> const expected{2 / sum, 4 / sum, 4 * std::sqrt(0.75) / sum, 0};
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(std::abs(weights[row] - expected[row]) <= 1e-14);
    CHECK(turned[3 - row] == doctest::Approx(weights[row]).epsilon(1e-14));
  }
  std::vector<double> regular;
  for (int row = 0; row < 16; ++row) regular.push_back(90 - (row + 0.5) * 180 / 16);
  auto const found = dchag::weights_of_latitudes(regular), known = dchag::latitude_weights(16);
  for (std::size_t row = 0; row < 16; ++row) CHECK(found[row] == doctest::Approx(known[row]).epsilon(1e-13));
  CHECK(dchag::row_weights({1, 2, 5, 0}) == std::vector<double>{0.5, 1, 2.5, 0});
}

TEST_CASE("weights of rows that are none are refused by their number") {
  double const nan = std::nan("");
  CHECK_THROWS_WITH_AS(dchag::weights_of_latitudes({0, 91}), "latitudes[1] = 91: give degrees from -90 to 90",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::weights_of_latitudes({nan}), "latitudes[0] = nan: give degrees from -90 to 90",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::row_weights({1, -1}), "row_weights[1] = -1: give finite weights that are not negative",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::row_weights({1, 1, nan}),
                       "row_weights[2] = nan: give finite weights that are not negative", dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::row_weights({0, 0}), "row_weights: their sum is 0: give weights of which some count",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::row_weights({}), "row_weights: give one for each row", dchag::Error);
}

TEST_CASE_TEMPLATE("the error of weighted pixels is a mean over weights, whatever stands where a weight is zero", T,
                   float, double) {
  Fixture f;
  Index const batch = 3, channels = 2, height = 5, width = 37, count = batch * channels * height * width;
  auto const p = numbers<T>(count, 0.1), t = numbers<T>(count, 2.0), rows = numbers<T>(height, 0.9);
  auto const ph = host(p), rh = host(rows);
  for (auto const& [images, fields] : {std::pair<Index, Index>{1, 1}, {3, 1}, {1, 2}, {3, 2}}) {
    CAPTURE(images);
    CAPTURE(fields);
    auto const w = numbers<T>(images * fields * height * width, 0.4);
    auto const wh = Kokkos::create_mirror_view(w), th = Kokkos::create_mirror_view(t);
    Kokkos::deep_copy(wh, w);
    for (std::size_t i = 0; i < wh.size(); ++i) wh(i) = wh(i) < T(0) ? T(0) : wh(i);
    Kokkos::deep_copy(w, wh);
    Kokkos::deep_copy(th, numbers<T>(count, 2.0));
    auto const weight = [&](Index i) {
      Index const pixel = i % (height * width), c = i / (height * width) % channels,
                  b = i / (height * width * channels);
      return double(wh(((images == 1 ? 0 : b) * fields + (fields == 1 ? 0 : c)) * height * width + pixel));
    };
    double sum = 0, error = 0;
    for (Index i = 0; i < count; ++i) {
      double const factor = weight(i) * rh[i / width % height], difference = ph[i] - double(th(i));
      sum += factor;
      error += factor * difference * difference;
    }
    std::vector<double> gradient;
    for (Index i = 0; i < count; ++i) {
      gradient.push_back(0.5 * 2 * weight(i) * rh[i / width % height] * (ph[i] - double(th(i))) / sum);
      if (weight(i) == 0) th(i) = i % 2 == 0 ? T(9.97e36) : static_cast<T>(std::nan(""));
    }
    Kokkos::deep_copy(t, th);
    auto const as_images = [&](Flat<T> const& view) {
      return dchag::reshape<T****, Space>(view.data(), batch, channels, height, width);
    };
    auto const row_weights = dchag::reshape<T const*, Space>(rows.data(), height);
    auto const weights = dchag::reshape<T const****, Space>(w.data(), images, fields, height, width);
    Flat<T> const g("gradient", count);
    CHECK(dchag::latitude_weighted_mse(f.context, as_images(p), as_images(t), row_weights, weights) ==
          doctest::Approx(error / sum).epsilon(tolerance<T>));
    CHECK(dchag::latitude_weighted_mse(f.context, as_images(p), as_images(t), row_weights, 0.5, as_images(g),
                                       weights) == doctest::Approx(error / sum).epsilon(tolerance<T>));
    auto const gh = host(g);
    for (Index i = 0; i < count; ++i)
      CHECK(std::abs(gh[i] - gradient[i]) <= 4 * tolerance<T> * (weight(i) == 0 ? 0 : 1 / double(sum)));
    Kokkos::deep_copy(w, T(0));
    CHECK(dchag::latitude_weighted_mse(f.context, as_images(p), as_images(t), row_weights, 0.5, as_images(g),
                                       weights) == 0);
    CHECK(host(g) == std::vector<double>(static_cast<std::size_t>(count), 0.0));
    CHECK(f.workspace.used() == 0);
  }
  auto const view = [&](Index images, Index fields, Index across) {
    return dchag::reshape<T****, Space>(p.data(), images, fields, height, across);
  };
  CHECK_THROWS_WITH_AS(
      dchag::latitude_weighted_mse(f.context, view(3, 2, 37), view(3, 2, 37),
                                   dchag::reshape<T const*, Space>(rows.data(), height), view(2, 1, 37)),
      "latitude_weighted_mse: the weights are [2, 1, 5, 37], expected [3 or 1, 2 or 1, 5, 37]", dchag::Error);
}

TEST_CASE_TEMPLATE("the masked error counts hidden rows only, and its gradient is zero elsewhere", T, float, double) {
  Fixture f;
  Index const rows = 700, columns = 29;
  auto const p = numbers<T>(rows * columns, 0.3), t = numbers<T>(rows * columns, 1.0);
  Flat<T> const hidden("hidden", rows), g("gradient", rows * columns);
  auto const mask = Kokkos::create_mirror_view(hidden);
  double count = 0;
  for (Index r = 0; r < rows; ++r) count += mask(r) = r % 4 == 1 ? T{0} : T{1};
  Kokkos::deep_copy(hidden, mask);
  Kokkos::deep_copy(g, T{77});

  auto const ph = host(p), th = host(t);
  double expected = 0;
  for (Index i = 0; i < rows * columns; ++i)
    if (mask(i / columns) != 0) expected += (ph[i] - th[i]) * (ph[i] - th[i]) / double(columns) / count;

  auto const matrix = [&](Flat<T> const& view) { return dchag::reshape<T**, Space>(view.data(), rows, columns); };
  auto const flags = dchag::reshape<T const*, Space>(hidden.data(), rows);
  CHECK(dchag::masked_mse(f.context, matrix(p), matrix(t), flags) == doctest::Approx(expected).epsilon(tolerance<T>));
  double const both = dchag::masked_mse(f.context, matrix(p), matrix(t), flags, 3.0, matrix(g));
  CHECK(both == doctest::Approx(expected).epsilon(tolerance<T>));
  auto const gh = host(g);
  for (Index i = 0; i < rows * columns; ++i) {
    double const slope = mask(i / columns) == 0 ? 0 : 3 * 2 * (ph[i] - th[i]) / double(columns) / count;
    CHECK(std::abs(gh[i] - slope) <= tolerance<T> / count);
  }
  CHECK(dchag::masked_mse(f.context, matrix(p), matrix(t), flags, 3.0, matrix(p)) == both);
  CHECK(host(p) == gh);

  Kokkos::deep_copy(hidden, T{0});
  CHECK(dchag::masked_mse(f.context, matrix(p), matrix(t), flags, 1.0, matrix(g)) == 0);
  CHECK(host(g) == std::vector<double>(static_cast<std::size_t>(rows * columns), 0.0));
}

TEST_CASE("rows that are visible are not read: they may hold anything") {
  Fixture f;
  Flat<float> const pixels("pixels", 6), target("target", 6), hidden("hidden", 2);
  auto const host_pixels = Kokkos::create_mirror_view(pixels);
  for (int i = 0; i < 3; ++i) host_pixels(i) = NAN;
  for (int i = 3; i < 6; ++i) host_pixels(i) = 2;
  Kokkos::deep_copy(pixels, host_pixels);
  Kokkos::deep_copy(Kokkos::subview(hidden, 1), 1.f);
  auto const p = dchag::reshape<float**, Space>(pixels.data(), 2, 3);
  CHECK(dchag::masked_mse(f.context, p, dchag::reshape<float const**, Space>(target.data(), 2, 3),
                          dchag::reshape<float const*, Space>(hidden.data(), 2), 1.0, p) == 4);
  CHECK(host(pixels) == std::vector<double>{0, 0, 0, 4.f / 3, 4.f / 3, 4.f / 3});
}

TEST_CASE("a loss has the same bits however many threads sum it") {
  // Chunks depend on the sizes alone: the sum of partial sums in order must be what the loss answers.
  Fixture f;
  Index const rows = 5000, columns = 17;
  auto const p = numbers<float>(rows * columns, 0.3), t = numbers<float>(rows * columns, 1.0);
  Flat<float> const ones("ones", rows);
  Kokkos::deep_copy(ones, 1.f);
  double const loss = dchag::masked_mse(f.context, dchag::reshape<float**, Space>(p.data(), rows, columns),
                                        dchag::reshape<float const**, Space>(t.data(), rows, columns),
                                        dchag::reshape<float const*, Space>(ones.data(), rows));
  dchag::detail::Chunks const chunks(rows);
  CHECK(chunks.count <= dchag::detail::partial_sums);
  dchag::detail::SquaredError<float> const error{p.data(), t.data(), columns, chunks};
  double total = 0;
  if constexpr (dchag::on_host<Space>) {
    for (Index chunk = 0; chunk < chunks.count; ++chunk) total += error(chunk, dchag::detail::ThreadSum{});
    CHECK(loss == total / double(rows) / double(columns));
  }
}

TEST_CASE("a dry context computes nothing and measures what the loss needs") {
  dchag::Workspace<Space> measuring;
  dchag::Context<Space> const dry(measuring);
  auto const pixels = measuring.push<float**>(1000, 800), target = measuring.push<float**>(1000, 800);
  auto const hidden = measuring.push<float*>(1000);
  std::size_t const before = measuring.used();
  CHECK(dchag::masked_mse(dry, pixels, target, hidden, 1.0, pixels) == 0);
  CHECK(measuring.peak() > before);
  CHECK(measuring.used() == before);
}

TEST_CASE("shapes that do not go together are errors") {
  Fixture f;
  auto const a = f.workspace.push<float**>(4, 5), b = f.workspace.push<float**>(4, 6);
  auto const mask = f.workspace.push<float*>(3);
  CHECK_THROWS_WITH_AS(dchag::masked_mse(f.context, a, b, mask),
                       "masked_mse: the target is [4, 6], the pixels are [4, 5]", dchag::Error);
  CHECK_THROWS_WITH_AS(dchag::masked_mse(f.context, a, a, mask), "masked_mse: 3 rows of the mask for 4 rows of pixels",
                       dchag::Error);
  auto const images = f.workspace.push<float****>(2, 3, 4, 5);
  CHECK_THROWS_WITH_AS(dchag::latitude_weighted_mse(f.context, images, images, mask),
                       "latitude_weighted_mse: 3 latitude weights for images of height 4", dchag::Error);
}
