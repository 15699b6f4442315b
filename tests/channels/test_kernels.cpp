#include <doctest/doctest.h>

#include <cmath>
#include <dchag/channels/evaluate/block_kernels.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/core/random.hpp>
#include <string>
#include <vector>

#include "space.hpp"

using namespace dchag;
using tests::Space;
namespace kernels = channels::kernels;

namespace {

constexpr Index used = round_up(20, lane_count<double, Space>), pitch = used + lane_count<double, Space>;
constexpr Tiling tiling{20, 1, used, pitch};
constexpr double untouched = -7;

Kokkos::View<double*, Space> drawn(Index count, std::string const& name) {
  Kokkos::View<double*, Space> const view("values", static_cast<std::size_t>(count));
  std::uint64_t const key = random_key(1, name);
  Kokkos::parallel_for(
      Kokkos::RangePolicy<Space>(0, count),
      KOKKOS_LAMBDA(int i) { view(i) = random_normal(key, static_cast<std::uint64_t>(i)); });
  return view;
}

/// An array on the device, and what it held when it was last brought to the host.
struct Array {
  Kokkos::View<double*, Space> device;
  std::vector<double> host;

  Array(Index count, std::string const& name) : device(drawn(count, name)) { fetch(); }
  Array(Index count, double value) : device("values", static_cast<std::size_t>(count)) {
    Kokkos::deep_copy(device, value);
    fetch();
  }
  void fetch() {
    auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), device);
    host.assign(mirror.data(), mirror.data() + mirror.size());
  }
  double* data() const { return device.data(); }
  double at(Index i) const { return host[static_cast<std::size_t>(i)]; }
};

template <class F>
void run(F const& f) {
  Workspace<Space> workspace(1024);
  f(Context<Space>(workspace));
  Kokkos::fence();
}

/// Holds [rows, pitch] against expected(row, n); what is beyond the width of the tile must not have been written.
template <class F>
void check(Array& actual, Index rows, F const& expected) {
  actual.fetch();
  double difference = 0, largest = 0;
  for (Index row = 0; row < rows; ++row) {
    for (Index n = 0; n < used; ++n) {
      double const value = expected(row, n);
      largest = std::max(largest, std::abs(value));
      double const off = std::abs(actual.at(row * pitch + n) - value);
      difference = off <= difference ? difference : off;  // a NaN stays
    }
    for (Index n = used; n < pitch; ++n) REQUIRE(actual.at(row * pitch + n) == untouched);
  }
  CHECK(difference <= 1e-12 * std::max(1.0, largest));
}

/// Calls f(channels, heads, size) for head counts of every block, and sizes that no block divides.
template <class F>
void for_sizes(F const& f) {
  for (Index channels : {1, 2, 7})
    for (Index heads : {1, 2, 3, 5, 8, 12, 16})
      for (Index size : {1, 5, 6}) {
        CAPTURE(channels);
        CAPTURE(heads);
        CAPTURE(size);
        f(channels, heads, size);
      }
}

}  // namespace

TEST_CASE("scores are r x + sigma, and become attention weights with the maximum and the normalizer given") {
  for_sizes([](Index c, Index h, Index patch) {
    Array const x(c * patch * pitch, "x"), r(c * h * patch, "r"), sigma(c * h, "sigma"), max(h * pitch, "max");
    Array const normalizer(h * pitch, 3.0);
    Array s(c * h * pitch, untouched), a(c * h * pitch, untouched), again(c * h * pitch, untouched);
    run([&](auto const& context) {
      kernels::scores<double>(context, tiling, c, h, patch, x.data(), r.data(), sigma.data(), nullptr, nullptr,
                              s.data());
      kernels::scores<double>(context, tiling, c, h, patch, x.data(), r.data(), sigma.data(), max.data(),
                              normalizer.data(), a.data());
      kernels::scores<double>(context, tiling, c, h, patch, x.data(), r.data(), sigma.data(), nullptr, nullptr,
                              again.data());
      kernels::weights_again<double>(context, tiling, c, h, again.data(), max.data(), normalizer.data());
    });
    auto const score = [&](Index row, Index n) {
      double sum = sigma.at(row);
      for (Index p = 0; p < patch; ++p) sum += r.at(row * patch + p) * x.at((row / h * patch + p) * pitch + n);
      return sum;
    };
    auto const weight = [&](Index row, Index n) { return std::exp(score(row, n) - max.at(row % h * pitch + n)) / 3.0; };
    check(s, c * h, score);
    check(a, c * h, weight);
    check(again, c * h, weight);
  });
}

TEST_CASE("the softmax over channels leaves weights, maximum and normalizer") {
  for_sizes([](Index c, Index h, Index) {
    Array const before(c * h * pitch, "s");
    Array s(c * h * pitch, untouched), max(h * pitch, untouched), normalizer(h * pitch, untouched);
    auto const score = [&](Index channel, Index head, Index n) { return before.at((channel * h + head) * pitch + n); };
    auto const largest = [&](Index head, Index n) {
      double value = score(0, head, n);
      for (Index i = 1; i < c; ++i) value = std::max(value, score(i, head, n));
      return value;
    };
    auto const sum = [&](Index head, Index n) {
      double value = 0;
      for (Index i = 0; i < c; ++i) value += std::exp(score(i, head, n) - largest(head, n));
      return value;
    };
    for (Index row = 0; row < c * h; ++row)
      Kokkos::deep_copy(Kokkos::subview(s.device, std::pair(row * pitch, row * pitch + used)),
                        Kokkos::subview(before.device, std::pair(row * pitch, row * pitch + used)));
    run([&](auto const& context) { kernels::softmax(context, tiling, c, h, s.data(), max.data(), normalizer.data()); });
    check(s, c * h, [&](Index row, Index n) {
      return std::exp(score(row / h, row % h, n) - largest(row % h, n)) / sum(row % h, n);
    });
    check(max, h, largest);
    check(normalizer, h, sum);
  });
}

TEST_CASE_TEMPLATE("scores of any size give weights from 0 to 1 that sum to 1", T, float, double) {
  Index const channels = 3, width = round_up(20, lane_count<T, Space>);
  std::vector<T> const scores{static_cast<T>(1e4), static_cast<T>(-1e4), static_cast<T>(9999)};
  for (T shift : {T{0}, static_cast<T>(1e30), static_cast<T>(-1e30), static_cast<T>(-2e4)}) {
    Kokkos::View<T**, Kokkos::LayoutRight, Space> const s("s", 3, static_cast<std::size_t>(width));
    Kokkos::View<T*, Space> const max("max", static_cast<std::size_t>(width)), sum("sum", max.size());
    for (std::size_t c = 0; c < 3; ++c) Kokkos::deep_copy(Kokkos::subview(s, c, Kokkos::ALL), scores[c] + shift);
    run([&](auto const& context) {
      kernels::softmax(context, Tiling{20, 1, width, width}, channels, Index{1}, s.data(), max.data(), sum.data());
    });
    auto const a = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), s);
    for (std::size_t n = 0; n < static_cast<std::size_t>(width); ++n) {
      T total = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        REQUIRE(a(c, n) >= 0);
        REQUIRE(a(c, n) <= 1);
        total += a(c, n);
      }
      REQUIRE(total == doctest::Approx(1));
      if (shift == 0) REQUIRE(a(2, n) / a(0, n) == doctest::Approx(std::exp(-1.0)));
    }
  }
}

TEST_CASE("weighted sums of tokens are formed anew or added to, with or without beta") {
  for_sizes([](Index c, Index h, Index embed) {
    Array const a(c * h * pitch, "a"), t(c * embed * pitch, "t"), beta(c * embed, "beta"), begin(h * embed, "begin");
    for (bool with_beta : {false, true})
      for (bool accumulate : {false, true}) {
        Array sum(h * embed * pitch, untouched);
        run([&](auto const& context) {
          if (accumulate) kernels::spread_bias<double>(context, tiling, h * embed, begin.data(), false, sum.data());
          kernels::weighted_sum<double>(context, tiling, c, h, embed, a.data(), t.data(),
                                        with_beta ? beta.data() : nullptr, accumulate, sum.data());
        });
        check(sum, h * embed, [&](Index row, Index n) {
          double total = accumulate ? begin.at(row) : 0;
          for (Index i = 0; i < c; ++i) {
            Index const token = i * embed + row / h;
            total += a.at((i * h + row % h) * pitch + n) * (t.at(token * pitch + n) + (with_beta ? beta.at(token) : 0));
          }
          return total;
        });
      }
  });
}

TEST_CASE("tokens are pulled through attention, in place too, with or without beta and the scores' part") {
  for_sizes([](Index c, Index h, Index embed) {
    Array const a(c * h * pitch, "a"), delta(h * pitch, "delta"), y(embed * h * pitch, "y"), t(c * embed * pitch, "t"),
        beta(c * embed, "beta"), u(h * embed, "u");
    for (bool with_beta : {false, true})
      for (bool with_scores : {false, true})
        for (bool in_place : {false, true}) {
          Array ds(c * h * pitch, untouched), dt(c * embed * pitch, untouched);
          if (in_place)
            for (Index row = 0; row < c * embed; ++row)
              Kokkos::deep_copy(Kokkos::subview(dt.device, std::pair(row * pitch, row * pitch + used)),
                                Kokkos::subview(t.device, std::pair(row * pitch, row * pitch + used)));
          run([&](auto const& context) {
            kernels::pull_tokens<double>(context, tiling, c, h, embed, a.data(), delta.data(), y.data(),
                                         in_place ? dt.data() : t.data(), with_beta ? beta.data() : nullptr,
                                         with_scores ? u.data() : nullptr, ds.data(), dt.data());
          });
          auto const slope = [&](Index row, Index n) {
            double sum = -delta.at(row % h * pitch + n);
            for (Index e = 0; e < embed; ++e) {
              Index const token = row / h * embed + e;
              sum += y.at((e * h + row % h) * pitch + n) * (t.at(token * pitch + n) + (with_beta ? beta.at(token) : 0));
            }
            return a.at(row * pitch + n) * sum;
          };
          check(ds, c * h, slope);
          check(dt, c * embed, [&](Index row, Index n) {
            double sum = 0;
            for (Index i = 0; i < h; ++i) {
              Index const score = row / embed * h + i, feature = row % embed;
              sum += a.at(score * pitch + n) * y.at((feature * h + i) * pitch + n);
              if (with_scores) sum += slope(score, n) * u.at(i * embed + feature);
            }
            return sum;
          });
        }
  });
}

TEST_CASE("blocks of tokens are summed and pulled through attention, anew or added to, as a host's threads do") {
  if constexpr (on_host<Space>)
    for_sizes([](Index c, Index h, Index features) {
      Index const beta_step = features + 3;  // beta is of more features than the block
      Array const a(c * h * pitch, "a"), y(features * h * pitch, "y"), t(c * features * pitch, "t"),
          beta(c * beta_step, "beta");
      auto const token = [&](Index k, Index e, Index n) {
        return t.at((k * features + e) * pitch + n) + beta.at(k * beta_step + e);
      };
      for (bool again : {false, true}) {
        Array sum(features * h * pitch, untouched);
        channels::detail::SumBlock<double, Space> const add{h,        features, pitch,       used,      beta_step,
                                                            a.data(), t.data(), beta.data(), sum.data()};
        add(c, false);
        if (again) add(c, true);
        check(sum, features * h, [&](Index row, Index n) {
          double total = 0;
          for (Index k = 0; k < c; ++k) total += a.at((k * h + row % h) * pitch + n) * token(k, row / h, n);
          return again ? 2 * total : total;
        });
      }
      Array da(c * h * pitch, untouched), dt(c * features * pitch, untouched);
      channels::detail::PullBlock<double, Space> const pull{
          h, features, pitch, used, beta_step, a.data(), y.data(), t.data(), beta.data(), da.data(), dt.data()};
      pull(c);
      check(da, c * h, [&](Index row, Index n) {
        double total = untouched;
        for (Index e = 0; e < features; ++e) total += y.at((e * h + row % h) * pitch + n) * token(row / h, e, n);
        return total;
      });
      check(dt, c * features, [&](Index row, Index n) {
        double total = 0;
        for (Index i = 0; i < h; ++i)
          total += a.at((row / features * h + i) * pitch + n) * y.at((row % features * h + i) * pitch + n);
        return total;
      });
    });
}

TEST_CASE("patches are scaled by attention weights, and pulled through them") {
  for_sizes([](Index c, Index h, Index patch) {
    Array const a(c * h * pitch, "a"), x(c * patch * pitch, "x"), delta(h * pitch, "delta"), y(h * c * patch, "y"),
        gamma(c * h, "gamma");
    Array scaled(h * c * patch * pitch, untouched), pulled(h * c * patch * pitch, untouched);
    Array ds(c * h * pitch, untouched);
    run([&](auto const& context) {
      kernels::scale_patches<double>(context, tiling, c, h, patch, a.data(), x.data(), scaled.data());
      kernels::spread_bias<double>(context, tiling, h * c * patch, y.data(), false, pulled.data());
      kernels::spread_bias<double>(context, tiling, c * h, gamma.data(), false, ds.data());
      kernels::pull_patches<double>(context, tiling, c, h, patch, a.data(), delta.data(), x.data(), pulled.data(),
                                    ds.data());
    });
    auto const product = [&](Index row, Index n) {  // of head, channel, pixel
      Index const head = row / (c * patch), channel = row / patch % c;
      return a.at((channel * h + head) * pitch + n) * x.at(row % (c * patch) * pitch + n);
    };
    check(scaled, h * c * patch, product);
    check(pulled, h * c * patch, product);
    check(ds, c * h, [&](Index row, Index n) {
      double sum = gamma.at(row) - delta.at(row % h * pitch + n);
      for (Index p = 0; p < patch; ++p)
        sum += y.at((row % h * c + row / h) * patch + p) * x.at((row / h * patch + p) * pitch + n);
      return a.at(row * pitch + n) * sum;
    });
  });
}

TEST_CASE("a bias is spread over the rows, or added") {
  Array const bias(5, "bias");
  Array m(5 * pitch, untouched);
  run([&](auto const& context) {
    kernels::spread_bias<double>(context, tiling, 5, bias.data(), false, m.data());
    kernels::spread_bias<double>(context, tiling, 5, bias.data(), true, m.data());
  });
  check(m, 5, [&](Index row, Index) { return 2 * bias.at(row); });
}
