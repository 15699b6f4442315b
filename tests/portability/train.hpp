#pragma once

#include <cmath>
#include <dchag/dchag.hpp>
#include <filesystem>
#include <functional>

// What the programs of this folder do with a model: train it for two steps, save it, load it, train it once more, and
// use it.
namespace portability {

template <class Data, class Space>
using Owned = Kokkos::View<Data, Kokkos::LayoutRight, typename Space::device_type>;

template <class Model>
void train(Model& model, typename Model::Batch const& batch) {
  dchag::Trainer trainer(model, dchag::AdamW{.learning_rate = 1e-3}, dchag::WarmupCosine{.warmup = 1, .total = 10});
  dchag::Progress progress(model.mesh());
  trainer.on_step(std::ref(progress));
  trainer.step(batch);
  trainer.step(batch);
  auto const path = std::filesystem::temp_directory_path() / "dchag_portability.safetensors";
  dchag::save(model, trainer, path);
  dchag::load(model, trainer, path);
  std::filesystem::remove(path);
  trainer.step(batch);
  double const loss = trainer.evaluate(batch);
  dchag::require(std::isfinite(loss) && loss > 0, "portability: the loss is ", loss);
}

/// call(context), once to measure the workspace and once for good.
template <class Space, class Call>
void measured(Call const& call) {
  dchag::Workspace<Space> workspace;
  call(dchag::Context<Space>(workspace));
  workspace.allocate(workspace.peak());
  call(dchag::Context<Space>(workspace));
  Space().fence("portability::measured");
}

template <class... Policies>
void train_masked_autoencoder() {
  using Model = dchag::MaskedAutoencoder<Policies...>;
  using Scalar = typename Model::Scalar;
  using Space = typename Model::Space;
  dchag::Index const images = 2, channels = 12;
  typename Model::Config const config{.channels = channels,
                                      .height = 8,
                                      .width = 8,
                                      .patch = 2,
                                      .embed = 16,
                                      .heads = 2,
                                      .depth = 1,
                                      .decoder = {.embed = 8, .heads = 2, .depth = 1}};
  Model model(dchag::Mesh(), config);
  Owned<Scalar****, Space> pixels("pixels", images, channels, 8, 8), prediction("prediction", images, channels, 8, 8);
  Owned<Scalar***, Space> features("features", images, config.locations(), config.embed);
  Owned<dchag::Index**, Space> keep("keep", images, config.kept());
  auto const host = Kokkos::create_mirror_view(keep);
  for (std::size_t i = 0; i < host.extent(0); ++i)
    for (std::size_t k = 0; k < host.extent(1); ++k) host(i, k) = static_cast<dchag::Index>(k);
  Kokkos::deep_copy(keep, host);
  Kokkos::deep_copy(pixels, 1);
  train(model, {pixels, keep});
  measured<Space>([&](dchag::Context<Space> const& context) { model.predict(context, {pixels, keep}, prediction); });
  measured<Space>([&](dchag::Context<Space> const& context) { model.features(context, pixels, features); });
}

/// For two lead times of each image, with dropout and weights of rows and pixels.
template <class... Policies>
void train_forecaster() {
  using Model = dchag::Forecaster<Policies...>;
  using Scalar = typename Model::Scalar;
  using Space = typename Model::Space;
  dchag::Index const images = 2, forecasts = 2 * images, channels = 12, fields = 3;
  typename Model::Config const config{.channels = channels,
                                      .out_channels = fields,
                                      .height = 8,
                                      .width = 8,
                                      .patch = 2,
                                      .embed = 16,
                                      .heads = 2,
                                      .depth = 1,
                                      .latitudes = {70, 50, 30, 10, -10, -30, -50, -70},
                                      .dropout = 0.1};
  Model model(dchag::Mesh(), config);
  Owned<Scalar****, Space> pixels("pixels", images, channels, 8, 8), target("target", forecasts, fields, 8, 8),
      prediction("prediction", forecasts, fields, 8, 8), weight("weight", 1, 1, 8, 8);
  Owned<Scalar*, Space> lead_time("lead_time", forecasts);
  Kokkos::deep_copy(target, 1);
  Kokkos::deep_copy(weight, 1);
  typename Model::Batch const batch{pixels, target, lead_time, weight};
  train(model, batch);
  dchag::ComparedFields<Scalar, Space> const compared{prediction, target, model.row_weights(), weight, target};
  measured<Space>([&](dchag::Context<Space> const& context) {
    model.predict(context, batch, prediction);
    auto const sums = dchag::field_sums(context, compared);
    dchag::require(context.dry() || sums.at(2).rmse() > 0, "portability: the forecast is ", sums.at(2).rmse(), " off");
  });
}

}  // namespace portability
