#include <doctest/doctest.h>

#include <cmath>
#include <dchag/channels/tree.hpp>
#include <dchag/testing/finite_difference.hpp>
#include <string>

#include "space.hpp"

using namespace dchag;

namespace {

Kokkos::View<double*, tests::Space> drawn(Index count, std::string const& name) {
  Kokkos::View<double*, tests::Space> const view("values", static_cast<std::size_t>(count));
  std::uint64_t const key = random_key(4, name);
  Kokkos::parallel_for(
      Kokkos::RangePolicy<tests::Space>(0, count),
      KOKKOS_LAMBDA(int i) { view(i) = 0.7 * random_normal(key, static_cast<std::uint64_t>(i)); });
  return view;
}

/// A unit over two tiles of tokens, the second with padding rows, and a loss: the sum of what it answers times fixed
/// numbers.
template <class Unit>
class UnitCase {
 public:
  explicit UnitCase(UnitShape shape)
      : shape_(shape),
        tiling_{7 + Tiling::of<double, tests::Space>(1).width, 2, Tiling::of<double, tests::Space>(1).width, 0},
        unit_(parameters, "unit.", shape) {
    tiling_.pitch = tiling_.width + Tiling::of<double, tests::Space>(1).width;
    Index const count = 2 * shape.tokens * shape.embed * tiling_.pitch;
    tokens = drawn(count, "tokens");
    token_gradients = Kokkos::View<double*, tests::Space>("gradients", static_cast<std::size_t>(count));
    weights_ = drawn(2 * shape.embed * tiling_.pitch, "weights");
    parameters.allocate(1);
    for (auto const& parameter : parameters.all())  // no bias zero, no weight uniform
      Kokkos::deep_copy(parameter.template value<double*>(parameter.size()), drawn(parameter.size(), parameter.name));
  }

  /// The loss; its gradients are added to those that the parameters hold, or stand alone.
  double loss(bool add = false) {
    Workspace<tests::Space> workspace;
    run(Context<tests::Space>(workspace));
    CHECK(workspace.used() == 0);
    workspace.allocate(workspace.peak());
    Context<tests::Space> const context(workspace);
    if (!add) parameters.zero_gradients(context);
    return run(context);
  }

  testing::FiniteDifferenceReport check() {
    loss();
    Index const size = static_cast<Index>(tokens.size());
    auto const by_tokens = testing::check_gradients<tests::Space>(
        {{"tokens", tokens.data(), token_gradients.data(), size}}, [&] { return loss(); });
    CHECK(by_tokens.error < 1e-7);
    loss();  // the gradients at the values as they are again
    return testing::check_gradients(parameters, [&] { return loss(); });
  }

  Parameters<double, tests::Space> parameters;
  Kokkos::View<double*, tests::Space> tokens, token_gradients;  // [2, tokens, D, pitch]

 private:
  double run(Context<tests::Space> const& context) {
    auto scope = context.workspace().scope();
    Index const embed = shape_.embed, pitch = tiling_.pitch, width = tiling_.width, rows = tiling_.rows;
    unit_.prepare(context);
    auto const out = context.workspace().template push<double*>(2 * embed * pitch);
    auto const kept = context.workspace().template push<double*>(2 * unit_.kept_per_row() * pitch);
    for (Index tile = 0; tile < 2; ++tile)
      unit_.forward(context, tiling_, tokens_of(tile, tokens), kept.data() + tile * unit_.kept_per_row() * pitch,
                    out.data() + tile * embed * pitch);
    double const* const weights = weights_.data();
    double* const result = out.data();
    double const total = context.template sum<double>(
        "loss", rows * embed, KOKKOS_LAMBDA(Index item, double& sum) {
          Index const n = item / embed, at = (n / width * embed + item % embed) * pitch + n % width;
          sum += weights[at] * result[at];
        });
    context.loop(
        "gradient", 2 * embed * width, KOKKOS_LAMBDA(Index item) {
          Index const tile = item / (embed * width), k = item % width, at = item / width * pitch + k;
          result[at] = tile * width + k < rows ? weights[at] : 0.0;
        });
    for (Index tile = 1; tile >= 0; --tile)
      unit_.backward(context, tiling_, tokens_of(tile, tokens), kept.data() + tile * unit_.kept_per_row() * pitch,
                     result + tile * embed * pitch, tokens_of(tile, token_gradients));
    unit_.finish(context);
    return total;
  }
  double* tokens_of(Index tile, Kokkos::View<double*, tests::Space> const& all) const {
    return all.data() + tile * shape_.tokens * shape_.embed * tiling_.pitch;
  }

  UnitShape shape_;
  Tiling tiling_;
  Unit unit_;
  Kokkos::View<double*, tests::Space> weights_;
};

using Attention = channels::CrossAttentionUnit<double, tests::Space>;
using Weights = channels::LinearUnit<double, tests::Space>;

}  // namespace

TEST_CASE_TEMPLATE("a unit's gradients of parameters and tokens are those of finite differences", Unit, Attention,
                   Weights) {
  for (UnitShape shape : {UnitShape{1, 4, 1}, {5, 6, 3}, {4, 7, 7}, {9, 10, 2}}) {
    CAPTURE(shape.tokens);
    UnitCase<Unit> unit(shape);
    auto const report = unit.check();
    INFO(report);
    CHECK(report.error < 1e-7);
    CHECK(report.checks > 3);
  }
}

TEST_CASE("a unit adds to the gradients that its parameters hold") {
  UnitCase<Attention> unit({3, 6, 3});
  auto const gradients = [&](Parameter<double, tests::Space> const& parameter) {
    return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), parameter.gradient<double*>(parameter.size()));
  };
  for (auto const& parameter : unit.parameters.all()) {
    CAPTURE(parameter.name);
    unit.loss();
    Kokkos::View<double*, Kokkos::HostSpace> const once("once", static_cast<std::size_t>(parameter.size()));
    Kokkos::deep_copy(once, gradients(parameter));
    unit.loss(true);
    auto const twice = gradients(parameter);
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < once.size(); ++i) {
      largest = std::max(largest, std::abs(once(i)));
      difference = std::max(difference, std::abs(twice(i) - 2 * once(i)));
    }
    CHECK(largest > 1e-3);
    CHECK(difference < 1e-12 * largest);
  }
}

TEST_CASE("a unit of one token answers that token, weighed or projected, whatever the query") {
  UnitCase<Attention> unit({1, 6, 2});
  double const loss = unit.loss();
  Kokkos::deep_copy(unit.parameters.find("unit.query")->value<double*>(6), 3.0);
  CHECK(unit.loss() == doctest::Approx(loss).epsilon(1e-14));
}

TEST_CASE("the weights of a linear unit start equal, with squares that sum to one") {
  UnitCase<Weights> unit({16, 3, 1});
  CHECK(unit.parameters.find("unit.weight")->initial.mean == 0.25);
  CHECK(unit.parameters.find("unit.weight")->initial.deviation == 0);
  CHECK(unit.parameters.find("unit.weight")->shape == std::vector<Index>{1, 16});
  CHECK(unit.parameters.find("unit.bias")->initial.mean == 0);
}
