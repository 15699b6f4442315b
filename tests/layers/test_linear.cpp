#include <dchag/layers/linear.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

TEST_CASE_TEMPLATE("linear is x W^T + b, written or added", T, float, double) {
  dchag::Parameters<T, Space> parameters;
  dchag::layers::Linear<T, Space> const linear(parameters, "l", 13, 22);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<T> const x(9, 13, "x"), y(9, 22, "y"), added(9, 22, "y");
  auto const before = y.host();
  auto const expected = naive::linear(x.host(), value(parameters, "l.weight"), value(parameters, "l.bias"));
  run([&](auto const& context) {
    if (context.dry()) return;
    linear.forward(context, x, y);
    linear.add_forward(context, x, added);
  });
  CHECK(difference(y.host(), expected) < tolerance<T>);
  CHECK(difference(added.host(), naive::plus(before, expected)) < tolerance<T>);
}

TEST_CASE("linear's gradients are those of finite differences") {
  dchag::Parameters<double, Space> parameters;
  dchag::layers::Linear<double, Space> const linear(parameters, "l", 5, 7);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<double> const x(6, 5, "x"), y(6, 7), dy(6, 7, "dy"), dx(6, 5);
  run([&](auto const& context) {
    linear.backward(context, x, dy, dx);
    if (context.dry()) return;
    auto const loss = [&] {
      linear.forward(context, x, y);
      Kokkos::fence();
      return dot(y.host(), dy.host());
    };
    auto const by_parameters = dchag::testing::check_gradients(parameters, loss);
    auto const by_input = dchag::testing::check_gradients<Space>({x.by("x", dx)}, loss);
    INFO(by_parameters, "; ", by_input);
    CHECK(by_parameters.error < 1e-8);
    CHECK(by_input.error < 1e-8);
  });
}

TEST_CASE("linear's parameters are those of the reference and start with the variance of Glorot and Bengio") {
  dchag::Parameters<double, Space> parameters;
  dchag::layers::Linear<double, Space> const linear(parameters, "head.0", 100, 300);
  parameters.allocate(1);
  CHECK(parameters.find("head.0.weight")->shape == std::vector<Index>{300, 100});
  CHECK(parameters.find("head.0.bias")->shape == std::vector<Index>{300});
  auto const weight = value(parameters, "head.0.weight"), bias = value(parameters, "head.0.bias");
  CHECK(dot(weight, weight) / static_cast<double>(weight.size()) == doctest::Approx(2.0 / 400).epsilon(0.03));
  CHECK(dot(bias, bias) == 0);
}
