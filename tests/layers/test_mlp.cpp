#include <dchag/layers/mlp.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

TEST_CASE_TEMPLATE("the MLP adds fc2(gelu(fc1(x)))", T, float, double) {
  dchag::Parameters<T, Space> parameters;
  dchag::layers::Mlp<T, Space> mlp(parameters, "mlp", 10, 34);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<T> const x(23, 10, "x"), y(23, 10);
  run([&](auto const& context) { mlp.add_forward(context, x, y); });
  auto const hidden =
      naive::gelu(naive::linear(x.host(), value(parameters, "mlp.fc1.weight"), value(parameters, "mlp.fc1.bias")));
  CHECK(difference(y.host(), naive::linear(hidden, value(parameters, "mlp.fc2.weight"),
                                           value(parameters, "mlp.fc2.bias"))) < tolerance<T>);
}

TEST_CASE("the MLP's gradients are those of finite differences, also where dx overwrites x") {
  dchag::Parameters<double, Space> parameters;
  dchag::layers::Mlp<double, Space> mlp(parameters, "mlp", 6, 11);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<double> const x(20, 6, "x"), y(20, 6), dy(20, 6, "dy"), dx(20, 6, "x");
  run([&](auto const& context) {
    mlp.add_forward(context, x, y);
    mlp.backward(context, dx, dy, dx);
    if (context.dry()) return;
    Kokkos::fence();
    auto const loss = [&] {
      context.workspace().release(0);
      context.fill(y.view, 0.0);
      mlp.add_forward(context, x, y);
      Kokkos::fence();
      return dot(y.host(), dy.host());
    };
    auto const by_parameters = dchag::testing::check_gradients(parameters, loss);
    auto const by_input = dchag::testing::check_gradients<Space>({x.by("x", dx)}, loss);
    INFO(by_parameters, "; ", by_input);
    CHECK(by_parameters.error < 1e-7);
    CHECK(by_input.error < 1e-7);
  });
}
