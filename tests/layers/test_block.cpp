#include <dchag/layers/block.hpp>

#include "layers/block_gradients.hpp"
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
  check_block_gradients();
}

TEST_CASE("a block keeps 10 width + heads + 2 numbers a row") {
  Index const rows = 1024, width = 64, heads = 8;
  dchag::Parameters<float, Space> parameters;
  dchag::layers::Block<float, Space> block(parameters, "b", width, heads, 4 * width);
  dchag::Workspace<Space> workspace;
  block.forward(dchag::Context<Space>(workspace), {nullptr, rows, width}, 2);
  CHECK(workspace.used() == static_cast<std::size_t>(rows * (10 * width + heads + 2)) * sizeof(float));
}
