#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/adamw.hpp>
#include <limits>
#include <vector>

#include "space.hpp"

namespace {

using dchag::AdamW;
using dchag::Index;
using dchag::tests::Space;

template <class T>
struct Fixture {
  dchag::Parameters<T, Space> parameters;
  dchag::Workspace<Space> workspace{0};
  dchag::Context<Space> context{workspace};

  explicit Fixture(std::vector<Index> sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      parameters.begin_unit("unit" + std::to_string(i));
      parameters.add("p" + std::to_string(i), {sizes[i]}, dchag::normal(1));
    }
    parameters.allocate(5);
  }
  /// The gradients of every parameter, of which the longest has them all.
  std::vector<T> set_gradients(int step) {
    std::vector<T> longest;
    for (auto const& parameter : parameters.all()) {
      for (Index i = static_cast<Index>(longest.size()); i < parameter.size(); ++i)
        longest.push_back(static_cast<T>(std::sin(0.3 * step + 1.1 * double(i))));
      Kokkos::deep_copy(
          parameter.template gradient<T*>(parameter.size()),
          Kokkos::View<T const*, Kokkos::HostSpace>(longest.data(), static_cast<std::size_t>(parameter.size())));
    }
    return longest;
  }
  std::vector<T> values(std::size_t which) const {
    auto const& parameter = parameters.all()[which];
    Kokkos::View<T*, Kokkos::HostSpace> const host("host", parameter.size());
    Kokkos::deep_copy(host, parameter.template value<T*>(parameter.size()));
    return {host.data(), host.data() + host.size()};
  }
};

template <class T>
void set(dchag::Parameter<T, Space> const& parameter, T value, T gradient) {
  Kokkos::deep_copy(parameter.template value<T*>(parameter.size()), value);
  Kokkos::deep_copy(parameter.template gradient<T*>(parameter.size()), gradient);
}

}  // namespace

TEST_CASE("two steps give the numbers worked out by hand") {
  // p = 2, g = 0.5 then -1; lr = 0.1, betas 0.9 and 0.99, eps = 0, decay 0.5 (epsilon is negligible: 1e-300).
  // Step 1: p = 2 (1 - 0.05) = 1.9; m/(1-0.9) = 0.5, v/(1-0.99) = 0.25, so p = 1.9 - 0.1 * 0.5/0.5 = 1.8.
  // Step 2: p = 1.8 * 0.95 = 1.71; m = 0.9*0.05 - 0.1 = -0.055, over 1-0.81 = 0.19: -0.28947368...;
  //         v = 0.99*0.0025 + 0.01 = 0.012475, over 1-0.9801 = 0.0199: 0.62688442...; p = 1.71 +
  //         0.1*0.28947368/0.79176033.
  Fixture<double> f({3});
  dchag::AdamWState<double, Space> state(f.parameters);
  AdamW const adamw{.learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-300, .weight_decay = 0.5};
  set(f.parameters.all()[0], 2.0, 0.5);
  state.step(f.context, adamw, adamw.learning_rate);
  CHECK(f.values(0)[2] == doctest::Approx(1.8).epsilon(1e-14));
  Kokkos::deep_copy(f.parameters.units()[0].gradients, -1.0);
  state.step(f.context, adamw, adamw.learning_rate);
  CHECK(f.values(0)[2] == doctest::Approx(1.71 + 0.1 * (0.055 / 0.19) / std::sqrt(0.012475 / 0.0199)).epsilon(1e-14));
  CHECK(f.values(0)[2] == doctest::Approx(1.7465607713334883).epsilon(1e-14));
  CHECK(state.steps() == 2);
}

TEST_CASE_TEMPLATE("many steps give what torch.optim.AdamW's own order of operations gives", T, float, double) {
  Fixture<T> f({1, 100, 1000});
  dchag::AdamWState<T, Space> state(f.parameters);
  AdamW const adamw{.learning_rate = 3e-2, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.05};
  std::vector<double> p, m(1000), v(1000);
  for (T const value : f.values(2)) p.push_back(static_cast<double>(value));
  for (int step = 1; step <= 20; ++step) {
    std::vector<T> const gradients = f.set_gradients(step);
    double const rate = adamw.learning_rate * (step % 3 + 1), scale = step % 2 == 0 ? 0.5 : 1.0;
    state.step(f.context, adamw, rate, scale, step % 2 == 0 ? dchag::Gradients::keep : dchag::Gradients::zero);
    for (std::size_t i = 0; i < p.size(); ++i) {
      double const g = scale * static_cast<double>(gradients[i]);
      p[i] *= 1 - rate * adamw.weight_decay;
      m[i] += (1 - adamw.beta1) * (g - m[i]);
      v[i] = adamw.beta2 * v[i] + (1 - adamw.beta2) * g * g;
      double const root = std::sqrt(v[i]) / std::sqrt(1 - std::pow(adamw.beta2, step)) + adamw.epsilon;
      p[i] -= rate / (1 - std::pow(adamw.beta1, step)) * m[i] / root;
    }
  }
  auto const values = f.values(2);
  double largest = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(values[i]) - p[i]));
  CHECK(largest < 20 * std::numeric_limits<T>::epsilon() * 4);
}

TEST_CASE("gradients are zeroed in the same pass, or kept") {
  Fixture<float> f({40});
  dchag::AdamWState<float, Space> state(f.parameters);
  auto const gradients = f.parameters.units()[0].gradients;
  auto const last = [&] { return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), gradients)(39); };
  Kokkos::deep_copy(gradients, 3.f);
  state.step(f.context, {}, 0.1, 1.0, dchag::Gradients::keep);
  CHECK(last() == 3.f);
  state.step(f.context, {}, 0.1);
  CHECK(last() == 0.f);
}

TEST_CASE("a parameter without gradient only decays, and the padding stays zero") {
  Fixture<float> f({5});
  dchag::AdamWState<float, Space> state(f.parameters);
  set(f.parameters.all()[0], 1.f, 0.f);
  state.step(f.context, {.weight_decay = 0.5}, 0.5);
  auto const unit = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), f.parameters.units()[0].values);
  CHECK(unit(4) == 0.75f);
  for (std::size_t i = 5; i < unit.size(); ++i) CHECK(unit(i) == 0.f);
}

TEST_CASE("options that make no sense are errors that name the field") {
  CHECK_NOTHROW(AdamW{}.check());
  CHECK_THROWS_WITH_AS(AdamW{.beta1 = 1}.check(), "AdamW: beta1 = 1: give a value from 0 to below 1", dchag::Error);
  CHECK_THROWS_WITH_AS(AdamW{.beta2 = -0.5}.check(), "AdamW: beta2 = -0.5: give a value from 0 to below 1",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(AdamW{.epsilon = 0}.check(), "AdamW: epsilon = 0: give a value above 0", dchag::Error);
  CHECK_THROWS_WITH_AS(AdamW{.weight_decay = -1}.check(), "AdamW: weight_decay = -1: give zero or more", dchag::Error);
  CHECK_THROWS_WITH_AS(AdamW{.learning_rate = std::nan("")}.check(), "AdamW: learning_rate = nan: give zero or more",
                       dchag::Error);
  dchag::Parameters<float, Space> empty;
  CHECK_THROWS_AS((dchag::AdamWState<float, Space>(empty)), dchag::Error);
}
