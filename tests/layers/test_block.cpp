#include <dchag/layers/block.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

TEST_CASE_TEMPLATE("a block is that of the reference, in place", T, float, double) {
  Index const images = 3, locations = 10, width = 24, heads = 4;
  dchag::Parameters<T, Space> parameters;
  dchag::layers::Block<T, Space> block(parameters, "b", width, heads, 50);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<T> const x(images * locations, width, "x");
  auto const expected =
      naive::block(x.host(), images, heads, [&](std::string const& name) { return value(parameters, "b." + name); });
  run([&](auto const& context) { block.forward(context, x, images); });
  CHECK(difference(x.host(), expected) < tolerance<T>);
}

TEST_CASE("a block's gradients are those of finite differences and its workspace is given back") {
  Index const images = 2, locations = 6, width = 8, heads = 2, rows = images * locations;
  dchag::Parameters<double, Space> parameters;
  dchag::layers::Block<double, Space> block(parameters, "b", width, heads, 20);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<double> const x(rows, width, "x"), y(rows, width), dy(rows, width, "dy"), dx(rows, width, "dy");
  run([&](auto const& context) {
    context.copy(y.view, x.view);
    block.forward(context, y, images);
    block.backward(context, dx);
    CHECK(context.workspace().used() == 0);
    if (context.dry()) return;
    Kokkos::fence();
    auto const loss = [&] {
      context.workspace().release(0);
      context.copy(y.view, x.view);
      block.forward(context, y, images);
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

TEST_CASE("a block keeps 10 width + heads + 2 numbers a row") {
  Index const rows = 1024, width = 64, heads = 8;
  dchag::Parameters<float, Space> parameters;
  dchag::layers::Block<float, Space> block(parameters, "b", width, heads, 4 * width);
  dchag::Workspace<Space> workspace;
  block.forward(dchag::Context<Space>(workspace), {nullptr, rows, width}, 2);
  CHECK(workspace.used() == static_cast<std::size_t>(rows * (10 * width + heads + 2)) * sizeof(float));
}
