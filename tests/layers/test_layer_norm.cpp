#include <dchag/layers/layer_norm.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

TEST_CASE_TEMPLATE("layer norm normalizes rows, also in place, and recalls its result", T, float, double) {
  for (Index width : {1, 16, 37, 64}) {
    dchag::Parameters<T, Space> parameters;
    dchag::layers::LayerNorm<T, Space> norm(parameters, "norm", width);
    parameters.allocate(1);
    randomize(parameters);
    Tensor<T> const x(11, width, "x", 3), y(11, width), again(11, width), in_place(11, width, "x", 3);
    auto const expected = naive::layer_norm(x.host(), value(parameters, "norm.weight"), value(parameters, "norm.bias"));
    run([&](auto const& context) {
      norm.forward(context, x, y);
      norm.recall(context, again);
      norm.forward(context, in_place, in_place);
    });
    CHECK(difference(y.host(), expected) < tolerance<T>);
    CHECK(difference(again.host(), expected) < tolerance<T>);
    CHECK(in_place.host() == y.host());
  }
}

TEST_CASE("layer norm of rows with a mean far from zero loses no more than the mean's own rounding") {
  dchag::Parameters<float, Space> parameters;
  dchag::layers::LayerNorm<float, Space> norm(parameters, "norm", 64);
  parameters.allocate(1);
  Tensor<float> const x(4, 64, "x"), y(4, 64);
  auto values = x.host();
  for (double& one : values) one += 1000;
  x.assign(values);
  auto const expected = naive::layer_norm(x.host(), value(parameters, "norm.weight"), value(parameters, "norm.bias"));
  run([&](auto const& context) { norm.forward(context, x, y); });
  CHECK(difference(y.host(), expected) < 1e-4);
}

TEST_CASE("layer norm's gradients are those of finite differences, written, in place or added to a residual") {
  Index const rows = 19, width = 21;
  dchag::Parameters<double, Space> parameters;
  dchag::layers::LayerNorm<double, Space> norm(parameters, "norm", width);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<double> const x(rows, width, "x"), y(rows, width), dy(rows, width, "dy"), dx(rows, width),
      added(rows, width, "residual"), in_place(rows, width, "dy");
  auto const residual = added.host();
  run([&](auto const& context) {
    norm.forward(context, x, y);
    norm.backward(context, dy, dx);
    if (context.dry()) return;
    Kokkos::fence();
    auto const loss = [&] {
      context.workspace().release(0);
      norm.forward(context, x, y);
      Kokkos::fence();
      return dot(y.host(), dy.host());
    };
    auto const by_parameters = dchag::testing::check_gradients(parameters, loss);
    auto const by_input = dchag::testing::check_gradients<Space>({x.by("x", dx)}, loss);
    INFO(by_parameters, "; ", by_input);
    CHECK(by_parameters.error < 1e-8);
    CHECK(by_input.error < 1e-8);
    loss();
    norm.add_backward(context, dy, added);
    norm.backward(context, in_place, in_place);
    Kokkos::fence();
    CHECK(difference(added.host(), naive::plus(residual, dx.host())) < 1e-12);
    CHECK(in_place.host() == dx.host());
  });
}

TEST_CASE("layer norm keeps its normalized rows and one number a row") {
  dchag::Parameters<float, Space> parameters;
  dchag::layers::LayerNorm<float, Space> norm(parameters, "norm", 64);
  dchag::Workspace<Space> workspace;
  norm.forward(dchag::Context<Space>(workspace), {nullptr, 320, 64}, {nullptr, 320, 64});
  CHECK(workspace.used() == 320 * (64 + 1) * sizeof(float));
}
