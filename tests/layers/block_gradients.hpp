#pragma once

#include <dchag/layers/block.hpp>
#include <dchag/layers/dropout.hpp>

#include "layers/tensors.hpp"

namespace dchag::tests {

/// A block's gradients are those of finite differences, and its workspace is given back.
inline void check_block_gradients(layers::Dropout const& dropout = {}) {
  Index const images = 2, locations = 6, width = 8, heads = 2, rows = images * locations;
  dchag::Parameters<double, Space> parameters;
  dchag::layers::Spread<dchag::Replicated> const spread;
  dchag::layers::Block<double, Space> block(parameters, "b", width, heads, 20, spread, dropout);
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

}  // namespace dchag::tests
