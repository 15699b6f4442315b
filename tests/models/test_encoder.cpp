#include <dchag/models/encoder.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Encoder;
using dchag::Index;
using dchag::TransformerConfig;

namespace {

std::string complaint(TransformerConfig const& config, std::string const& owner = "") {
  try {
    config.check(owner);
  } catch (dchag::Error const& error) {
    return error.what();
  }
  return "";
}

/// Result, gradient of the input and gradients of all parameters.
template <class T, bool recompute>
std::vector<double> everything() {
  Index const images = 3, rows = 3 * 8, width = 24;
  dchag::Parameters<T, Space> parameters;
  Encoder<T, Space, recompute> encoder(parameters, {.embed = width, .heads = 2, .depth = 3, .mlp_ratio = 2});
  parameters.allocate(3);
  randomize(parameters);
  Tensor<T> const x(rows, width, "x"), g(rows, width, "g");
  run([&](auto const& context) {
    encoder.forward(context, x, images);
    encoder.backward(context, g);
    CHECK(context.workspace().used() == 0);
  });
  std::vector<double> all = x.host();
  auto const append = [&](std::vector<double> const& more) { all.insert(all.end(), more.begin(), more.end()); };
  append(g.host());
  for (auto const& parameter : parameters.all()) append(host_copy(parameter.gradients, parameter.size()));
  return all;
}

std::size_t peak_bytes(auto& encoder, Index rows, Index width) {
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  encoder.forward(context, {nullptr, rows, width}, 1);
  encoder.backward(context, {nullptr, rows, width});
  return workspace.peak();
}

}  // namespace

TEST_CASE_TEMPLATE("the encoder is blocks and a norm, with or without what backward needs", T, float, double) {
  Index const images = 2, rows = 2 * 9, width = 12, heads = 3;
  dchag::Parameters<T, Space> parameters;
  Encoder<T, Space> encoder(parameters, {.embed = width, .heads = heads, .depth = 2}, "decoder.");
  parameters.allocate(1);
  randomize(parameters);
  Tensor<T> const x(rows, width, "x"), evaluated(rows, width, "x");
  auto expected = x.host();
  for (std::string const block : {"decoder.blocks.0.", "decoder.blocks.1."})
    expected =
        naive::block(expected, images, heads, [&](std::string const& name) { return value(parameters, block + name); });
  expected =
      naive::layer_norm(expected, value(parameters, "decoder.norm.weight"), value(parameters, "decoder.norm.bias"));
  run([&](auto const& context) { encoder.forward(context, x, images); });
  run([&](auto const& context) {
    encoder.evaluate(context, evaluated, images);
    CHECK(context.workspace().used() == 0);
  });
  CHECK(difference(x.host(), expected) < tolerance<T>);
  CHECK(evaluated.host() == x.host());
}

TEST_CASE("the encoder's gradients are those of finite differences") {
  Index const images = 2, rows = 2 * 5, width = 8;
  dchag::Parameters<double, Space> parameters;
  Encoder<double, Space> encoder(parameters, {.embed = width, .heads = 2, .depth = 2, .mlp_ratio = 1.5});
  parameters.allocate(1);
  randomize(parameters);
  Tensor<double> const x(rows, width, "x"), y(rows, width), dy(rows, width, "dy"), dx(rows, width, "dy");
  run([&](auto const& context) {
    auto const loss = [&] {
      context.workspace().release(0);
      context.copy(y.view, x.view);
      encoder.forward(context, y, images);
      context.fence("loss");
      return dot(y.host(), dy.host());
    };
    loss();
    encoder.backward(context, dx);
    if (context.dry()) return;
    Kokkos::fence();
    auto const by_parameters = dchag::testing::check_gradients(parameters, loss);
    auto const by_input = dchag::testing::check_gradients<Space>({x.by("x", dx)}, loss);
    INFO(by_parameters, "; ", by_input);
    CHECK(by_parameters.error < 1e-7);
    CHECK(by_input.error < 1e-7);
  });
}

TEST_CASE_TEMPLATE("an encoder that recomputes its blocks gives the same result and gradients, bit for bit", T, float,
                   double) {
  CHECK(everything<T, true>() == everything<T, false>());
}

TEST_CASE("an encoder that recomputes its blocks needs one input a block more than a single block") {
  Index const rows = 1024, width = 64;
  dchag::Parameters<float, Space> parameters;
  Encoder<float, Space, true> shallow(parameters, {.embed = width, .heads = 2, .depth = 1}, "a.");
  Encoder<float, Space, true> deep(parameters, {.embed = width, .heads = 2, .depth = 5}, "b.");
  CHECK(peak_bytes(deep, rows, width) - peak_bytes(shallow, rows, width) == 4 * rows * width * sizeof(float));
}

TEST_CASE("every block is a shard unit of its own") {
  dchag::Parameters<float, Space> parameters;
  Encoder<float, Space> const encoder(parameters, {.embed = 8, .heads = 2, .depth = 2}, "decoder.");
  std::vector<std::string> units;
  for (auto const& unit : parameters.units()) units.push_back(unit.name);
  CHECK(units == std::vector<std::string>{"decoder.blocks.0", "decoder.blocks.1", "decoder.norm"});
  CHECK(parameters.units()[1].parameters.size() == 12);
  CHECK(parameters.find("decoder.blocks.1.attn.qkv.weight")->shape == std::vector<Index>{24, 8});
  CHECK(parameters.find("decoder.blocks.1.mlp.fc2.weight")->shape == std::vector<Index>{8, 32});
}

TEST_CASE("sizes that make no transformer are refused with the field, its value and a remedy") {
  CHECK(complaint({.embed = 512, .heads = 8, .depth = 8}) == "");
  CHECK(complaint({.embed = 512, .heads = 7, .depth = 8}) ==
        "heads = 7 does not divide embed = 512: choose heads = 4 or 8, or embed = 518");
  CHECK(complaint({.embed = 12, .heads = 16, .depth = 8}, "decoder.") ==
        "decoder.heads = 16 does not divide decoder.embed = 12: choose heads = 12, or decoder.embed = 16");
  CHECK(complaint({.embed = 0, .heads = 8, .depth = 8}) == "embed = 0 must be positive");
  CHECK(complaint({.embed = 64, .heads = -1, .depth = 8}) == "heads = -1 must be positive");
  CHECK(complaint({.embed = 64, .heads = 8, .depth = 0}) == "depth = 0 must be positive");
  for (double ratio : {0.0, -1.0, 1e9, std::nan("")})
    CHECK(complaint({.embed = 64, .heads = 8, .depth = 1, .mlp_ratio = ratio}).find("mlp_ratio = ") == 0);
}

TEST_CASE("rows that are not whole images of the encoder's width are refused") {
  dchag::Parameters<float, Space> parameters;
  Encoder<float, Space> encoder(parameters, {.embed = 8, .heads = 2, .depth = 1});
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  CHECK_THROWS_AS(encoder.forward(context, {nullptr, 10, 8}, 3), dchag::Error);
  CHECK_THROWS_AS(encoder.forward(context, {nullptr, 10, 9}, 2), dchag::Error);
  CHECK_THROWS_AS(encoder.forward(context, {nullptr, 10, 8}, 0), dchag::Error);
}
