#include <dchag/layers/block.hpp>
#include <dchag/layers/recompute.hpp>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

template <class T>
using PlainBlock = dchag::layers::Block<T, Space>;
template <class T>
using RecomputedBlock = dchag::layers::Recomputed<T, Space, PlainBlock<T>>;

/// Result, gradient of the input and gradients of all parameters.
template <class T, class Block>
std::vector<double> everything(double rate = 0) {
  Index const images = 2, rows = 2 * 30, width = 32;
  dchag::Parameters<T, Space> parameters;
  dchag::layers::Spread<dchag::Replicated> const spread;
  dchag::layers::Dropout const dropout(rate, 5);
  Block block(parameters, "b", width, Index{4}, Index{100}, spread, dropout);
  parameters.allocate(3);
  Tensor<T> const x(rows, width, "x"), g(rows, width, "g");
  run([&](auto const& context) {
    block.forward(context, x, images);
    block.backward(context, g);
    CHECK(context.workspace().used() == 0);
  });
  std::vector<double> all = x.host();
  auto const append = [&](std::vector<double> const& more) { all.insert(all.end(), more.begin(), more.end()); };
  append(g.host());
  for (auto const& parameter : parameters.all()) append(host_copy(parameter.gradients, parameter.size()));
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("a block that is recomputed gives the same result and gradients, bit for bit", T, float, double) {
  CHECK(everything<T, RecomputedBlock<T>>() == everything<T, PlainBlock<T>>());
}

TEST_CASE_TEMPLATE("a block that is recomputed drops the same again", T, float, double) {
  auto const dropped = everything<T, PlainBlock<T>>(0.3);
  CHECK(everything<T, RecomputedBlock<T>>(0.3) == dropped);
  CHECK(everything<T, PlainBlock<T>>() != dropped);
}

TEST_CASE("a block that is recomputed keeps its input alone") {
  Index const rows = 256, width = 64;
  dchag::Parameters<float, Space> parameters;
  RecomputedBlock<float> block(parameters, "b", width, Index{8}, Index{256});
  dchag::Workspace<Space> workspace;
  block.forward(dchag::Context<Space>(workspace), {nullptr, rows, width}, 2);
  CHECK(workspace.used() == rows * width * sizeof(float));
}
