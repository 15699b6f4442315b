#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "io/scratch.hpp"
#include "models/cases.hpp"

using namespace dchag;
using namespace dchag::tests;

namespace {
std::atomic<int> allocated = 0;

struct Position {
  double const* values;  // [L, D]
  Index locations, embed;
  KOKKOS_FUNCTION double operator()(Index n, Index e) const { return values[n % locations * embed + e]; }
};
}  // namespace

TEST_CASE("the gradient of two batches, each at half weight, is that of both together") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 4, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  double const whole = model.gradients(context, data.batch<TinyAutoencoder<>>(0, 4), 1.0);
  auto const expected = gradients_of(model);
  model.parameters().zero_gradients(context);
  double const halves = 0.5 * (model.gradients(context, data.batch<TinyAutoencoder<>>(0, 2), 0.5) +
                               model.gradients(context, data.batch<TinyAutoencoder<>>(2, 2), 0.5));
  CHECK(halves == doctest::Approx(whole).epsilon(1e-12));
  CHECK(relative_difference(expected, gradients_of(model)) <= 1e-12);
}

TEST_CASE("the gradient of images whose pixels are predicted some rows at a time is the mean of the images'") {
  MaskedAutoencoderConfig config = autoencoder_config();
  config.channels = 33;
  config.height = 128;
  config.width = 288;
  config.patch = 8;
  AutoencoderData const data(config, 3, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Workspace<tests::Space> measuring;
  model.gradients(Context<tests::Space>(measuring), data.batch<TinyAutoencoder<>>(0, 3), 1.0);
  Workspace<tests::Space> workspace(measuring.peak());
  Context<tests::Space> const context(workspace);
  double const whole = model.gradients(context, data.batch<TinyAutoencoder<>>(0, 3), 1.0);
  CHECK(model.evaluate(context, data.batch<TinyAutoencoder<>>(0, 3)) == doctest::Approx(whole).epsilon(1e-12));
  auto const expected = gradients_of(model);
  model.parameters().zero_gradients(context);
  double parts = 0;
  for (Index image = 0; image < 3; ++image)
    parts += model.gradients(context, data.batch<TinyAutoencoder<>>(image, 1), 1.0 / 3) / 3;
  CHECK(parts == doctest::Approx(whole).epsilon(1e-12));
  CHECK(relative_difference(expected, gradients_of(model)) <= 1e-11);
}

TEST_CASE("training lowers the loss, allocates nothing, and goes on from a checkpoint as if never interrupted") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 4, 1);
  tests::Scratch const scratch;
  auto const file = scratch / "training.safetensors";
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3}), resumed(Mesh(), config, {.seed = 4});
  Trainer trainer(model, AdamW{.learning_rate = 1e-2}), other(resumed, AdamW{.learning_rate = 1e-2});
  auto const batch = data.batch<TinyAutoencoder<>>(0, 4);
  double const before = trainer.evaluate(batch);
  trainer.step(batch);
  Kokkos::Tools::Experimental::set_allocate_data_callback(
      [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocated; });
  allocated = 0;
  for (int step = 0; step < 40; ++step) trainer.step(batch);
  CHECK(allocated == 0);
  Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  CHECK(trainer.evaluate(batch) < 0.5 * before);

  save(model, trainer, file);
  load(resumed, other, file);
  for (int step = 0; step < 3; ++step) CHECK(trainer.step(batch) == other.step(batch));

  auto different = config;
  different.embed = 16;
  TinyAutoencoder<> wider(Mesh(), different);
  auto const text = message([&] { load(wider, file); });
  CHECK(text.find("embed") != std::string::npos);
  CHECK(text.find("16") != std::string::npos);
}

TEST_CASE("a model without storage is planned, to the byte") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 3, 1);
  TinyAutoencoder<> planned(Mesh(), config, {.storage = false}), model(Mesh(), config);
  CHECK(!planned.parameters().allocated());
  CHECK(planned.parameters().count() == model.parameters().count());
  Workspace<tests::Space> measuring;
  CHECK(planned.gradients(Context<tests::Space>(measuring), data.batch<TinyAutoencoder<>>(0, 3), 1.0) == 0.0);
  Workspace<tests::Space> workspace(measuring.peak());
  model.gradients(Context<tests::Space>(workspace), data.batch<TinyAutoencoder<>>(0, 3), 1.0);
  CHECK(workspace.peak() == measuring.peak());
}

TEST_CASE("models start the same for a seed, and differently for another") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  auto const loss = [&](std::uint64_t seed) {
    TinyAutoencoder<> model(Mesh(), config, {.seed = seed});
    Workspace<tests::Space> workspace(std::size_t{8} << 20);
    return model.evaluate(Context<tests::Space>(workspace), data.batch<TinyAutoencoder<>>(0, 2));
  };
  CHECK(loss(1) == loss(1));
  CHECK(loss(1) != loss(2));
}

TEST_CASE("features of whole images do not depend on the other images of the batch") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 3, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  Index const size = config.locations() * config.embed;
  Kokkos::View<double*, tests::Space> const all("all", static_cast<std::size_t>(3 * size)),
      one("one", static_cast<std::size_t>(size));
  model.features(context, data.batch<TinyAutoencoder<>>(0, 3).images,
                 reshape<double***, tests::Space>(all.data(), 3, config.locations(), config.embed));
  model.features(context, data.batch<TinyAutoencoder<>>(2, 1).images,
                 reshape<double***, tests::Space>(one.data(), 1, config.locations(), config.embed));
  auto const a = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), all),
             b = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), one);
  double largest = 0;
  for (Index i = 0; i < size; ++i) {
    CHECK(a(static_cast<std::size_t>(2 * size + i)) == doctest::Approx(b(static_cast<std::size_t>(i))).epsilon(1e-10));
    largest = std::max(largest, std::abs(b(static_cast<std::size_t>(i))));
  }
  CHECK(largest > 0.1);
}

TEST_CASE("sizes and batches that do not fit are refused with the field and its value") {
  auto const refused = [](auto change) {
    auto config = autoencoder_config();
    change(config);
    return message([&] { TinyAutoencoder<> model(Mesh(), config, {.storage = false}); });
  };
  auto const has = [](std::string const& text, std::string const& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  CHECK(refused([](auto&) {}) == "");
  has(refused([](auto& c) { c.patch = 4; }), "patch = 4");
  has(refused([](auto& c) { c.heads = 5; }), "heads = 5");
  has(refused([](auto& c) { c.channels = 2; }), "2 channels");
  has(refused([](auto& c) { c.depth = 0; }), "depth = 0");
  has(refused([](auto& c) { c.mask_ratio = 1; }), "mask_ratio = 1");
  has(refused([](auto& c) { c.mask_ratio = 0.01; }), "mask_ratio = 0.01");
  has(refused([](auto& c) { c.mask_ratio = NAN; }), "mask_ratio = nan");
  has(refused([](auto& c) { c.decoder.heads = 3; }), "decoder.heads = 3");

  auto const config = autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  TinyAutoencoder<> model(Mesh(), config);
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  auto batch = data.batch<TinyAutoencoder<>>(0, 2);
  batch.keep = data.batch<TinyAutoencoder<>>(0, 1).keep;
  Kokkos::View<double*, tests::Space> const out("out", 2 * 5 * 6 * 8);
  auto const prediction = reshape<double****, tests::Space>(out.data(), 2, 5, 6, 8);
  for (int call = 0; call < 3; ++call)
    has(message([&] {
          if (call == 0) model.gradients(context, batch, 1.0);
          if (call == 1) model.evaluate(context, batch);
          if (call == 2) model.predict(context, batch, prediction);
        }),
        "keep is [1, 6], expected [2, 6]");
  batch = data.batch<TinyAutoencoder<>>(0, 2);
  has(message([&] { model.predict(context, batch, reshape<double****, tests::Space>(out.data(), 2, 5, 8, 6)); }),
      "prediction is [2, 5, 8, 6], expected [2, 5, 6, 8]");
  has(message([&] { model.features(context, batch.images, reshape<double***, tests::Space>(out.data(), 2, 12, 8)); }),
      "out is [2, 12, 8], expected [2, 12, 12]");
  batch.images = {};
  has(message([&] { model.gradients(context, batch, 1.0); }), "images is [0, 0, 0, 0], expected [1, 5, 6, 8]");
  batch = data.batch<TinyAutoencoder<>>(0, 2);
  batch.images = reshape<double const****, tests::Space>(batch.images.data(), 2, 5, 8, 6);
  has(message([&] { model.evaluate(context, batch); }), "images is [2, 5, 8, 6], expected [2, 5, 6, 8]");
  CHECK(workspace.used() == 0);
}

TEST_CASE("visible locations that are none, or come twice, are refused before anything is computed from them") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  auto const batch = data.batch<TinyAutoencoder<>>(0, 2);
  double const loss = model.evaluate(context, batch);
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), data.keep);
  for (Index location : {Index{12}, Index{-1}, std::numeric_limits<Index>::max(), Index{host(6)}}) {
    CAPTURE(location);
    Kokkos::deep_copy(Kokkos::subview(data.keep, 9), location);
    Kokkos::View<double*, tests::Space> const out("out", 2 * 5 * 6 * 8);
    for (int call = 0; call < 3; ++call) {
      auto const text = message([&] {
        if (call == 0) model.gradients(context, batch, 1.0);
        if (call == 1) model.evaluate(context, batch);
        if (call == 2) model.predict(context, batch, reshape<double****, tests::Space>(out.data(), 2, 5, 6, 8));
      });
      CHECK(text.find("1 entries of keep are no location from 0 to 11") != std::string::npos);
      CHECK(workspace.used() == 0);
    }
  }
  for (double gradient : gradients_of(model)) REQUIRE(gradient == 0);
  Kokkos::deep_copy(Kokkos::subview(data.keep, 9), (5 * 3 + 1 + 1) % 12);
  CHECK(model.evaluate(context, batch) == loss);
}

TEST_CASE("features are the front end's tokens at their positions, after the encoder") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Index const rows = 2 * config.locations(), embed = config.embed;
  Kokkos::View<double*, tests::Space> const features("features", static_cast<std::size_t>(rows * embed)),
      expected("expected", features.size());
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  auto const batch = data.batch<TinyAutoencoder<>>(0, 2);
  model.features(context, batch.images,
                 reshape<double***, tests::Space>(features.data(), 2, config.locations(), embed));

  Parameters<double, tests::Space> parameters;
  FrontEnd<double, tests::Space, Tree<Linear<3>, CrossAttention<1>>, Auto, false> front_end(parameters, model.grid(),
                                                                                            embed, config.heads);
  Encoder<double, tests::Space> encoder(parameters, {embed, config.heads, config.depth, config.mlp_ratio});
  parameters.allocate(0);
  for (auto const& parameter : parameters.all())
    Kokkos::deep_copy(parameter.value<double*>(parameter.size()),
                      model.parameters().find(parameter.name)->value<double*>(parameter.size()));
  front_end.evaluate(context, batch.images.data(), nullptr, config.locations(), 2);
  channels::rows_from_tiles(context, front_end.tiling(), embed, static_cast<double const*>(front_end.out()),
                            Position{model.parameters().find("pos_embed")->values, config.locations(), embed},
                            expected.data());
  encoder.evaluate(context, {expected.data(), rows, embed}, 2);
  auto const a = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), features),
             b = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), expected);
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a(i) == b(i));
}

TEST_CASE("a masked autoencoder's configuration comes back from JSON, its tree beside it") {
  auto const config = autoencoder_config();
  TinyAutoencoder<> const model(Mesh(), config, {.storage = false});
  Json const json = parse_json(model.config_json(), "config");
  CHECK(MaskedAutoencoderConfig::from(json).json() == config.json());
  CHECK(json_at(json, "tree") ==
        parse_json(R"([{"unit": "linear", "groups": 3}, {"unit": "cross_attention", "groups": 1}])", "tree"));
  CHECK(json_get<std::string>(json, "task") == "masked_autoencoder");
}
