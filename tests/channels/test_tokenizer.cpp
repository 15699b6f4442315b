#include <doctest/doctest.h>

#include <cmath>
#include <dchag/channels/tokenizer.hpp>
#include <string>
#include <vector>

#include "space.hpp"

using namespace dchag;

namespace {

constexpr Index all = 5, embed = 6, patch = 4, first = 2, count = 3;

Kokkos::View<double*, tests::Space> drawn(Index size, std::string const& name) {
  Kokkos::View<double*, tests::Space> const view("values", static_cast<std::size_t>(size));
  std::uint64_t const key = random_key(2, name);
  Kokkos::parallel_for(
      Kokkos::RangePolicy<tests::Space>(0, size),
      KOKKOS_LAMBDA(int i) { view(i) = random_normal(key, static_cast<std::uint64_t>(i)); });
  return view;
}
std::vector<double> host(double const* data, Index size) {
  auto const mirror =
      Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), reshape<double const*, tests::Space>(data, size));
  return {mirror.data(), mirror.data() + mirror.size()};
}
double at(std::vector<double> const& values, Index i) { return values[static_cast<std::size_t>(i)]; }

}  // namespace

TEST_CASE("the tokenizer's parameters have the names, shapes and spreads of the reference") {
  Parameters<double, tests::Space> parameters;
  channels::Tokenizer<double, tests::Space> const tokenizer(parameters, all, embed, patch);
  auto const* const weight = parameters.find("tokenizer.weight");
  auto const* const bias = parameters.find("tokenizer.bias");
  auto const* const embedding = parameters.find("channel_embed");
  CHECK(weight->shape == std::vector<Index>{all, embed, patch});
  CHECK(weight->initial.deviation == doctest::Approx(std::sqrt(2.0 / (embed + patch))));
  CHECK(bias->shape == std::vector<Index>{all, embed});
  CHECK(bias->initial.deviation == 0);
  CHECK(embedding->shape == std::vector<Index>{all, embed});
  CHECK(embedding->initial.deviation == 0.02);
}

TEST_CASE("some channels' patches become tokens, and their gradients those of weights, biases and embeddings") {
  Parameters<double, tests::Space> parameters;
  channels::Tokenizer<double, tests::Space> tokenizer(parameters, all, embed, patch);
  parameters.allocate(1);
  for (auto const& parameter : parameters.all())
    Kokkos::deep_copy(parameter.value<double*>(parameter.size()), drawn(parameter.size(), parameter.name));
  Tiling const tiling = Tiling::of<double, tests::Space>(20);
  Index const pitch = tiling.pitch;
  auto const x = drawn(count * patch * pitch, "x"), dt = drawn(count * embed * pitch, "dt");
  Kokkos::View<double*, tests::Space> const t("t", static_cast<std::size_t>(count * embed * pitch));
  Workspace<tests::Space> workspace(1 << 20);
  Context<tests::Space> const context(workspace);
  tokenizer.prepare(context);
  tokenizer.project(context, tiling, first, count, x.data(), t.data());
  tokenizer.add_beta(context, tiling, first, count, t.data());
  for (int repeat = 0; repeat < 2; ++repeat) tokenizer.pull(context, tiling, first, count, x.data(), dt.data());
  tokenizer.finish(context);
  Kokkos::fence();

  auto const values = [&](char const* name) {
    auto const* const parameter = parameters.find(name);
    return host(parameter->values, parameter->size());
  };
  auto const gradients = [&](char const* name) {
    auto const* const parameter = parameters.find(name);
    return host(parameter->gradients, parameter->size());
  };
  auto const weight = values("tokenizer.weight"), bias = values("tokenizer.bias"), embedding = values("channel_embed");
  auto const dweight = gradients("tokenizer.weight"), dbias = gradients("tokenizer.bias"),
             dembedding = gradients("channel_embed");
  auto const patches = host(x.data(), count * patch * pitch), tokens = host(t.data(), count * embed * pitch),
             dtokens = host(dt.data(), count * embed * pitch);
  for (Index c = 0; c < all; ++c)
    for (Index e = 0; e < embed; ++e) {
      Index const own = (c - first) * embed + e, feature = c * embed + e;
      bool const taken = c >= first && c < first + count;
      double sum = 0;
      for (Index n = 0; n < tiling.width && taken; ++n) {
        double token = at(bias, feature) + at(embedding, feature);
        for (Index p = 0; p < patch; ++p)
          token += at(weight, feature * patch + p) * at(patches, ((c - first) * patch + p) * pitch + n);
        REQUIRE(at(tokens, own * pitch + n) == doctest::Approx(token));
        sum += 2 * at(dtokens, own * pitch + n);
      }
      CHECK(at(dbias, feature) == doctest::Approx(sum));
      CHECK(at(dembedding, feature) == doctest::Approx(sum));
      for (Index p = 0; p < patch; ++p) {
        double product = 0;
        for (Index n = 0; n < tiling.width && taken; ++n)
          product += 2 * at(dtokens, own * pitch + n) * at(patches, ((c - first) * patch + p) * pitch + n);
        CHECK(at(dweight, feature * patch + p) == doctest::Approx(product));
      }
    }
}
