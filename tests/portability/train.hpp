#pragma once

#include <dchag/dchag.hpp>
#include <filesystem>

// What every program of this folder does: a model is built, trained for two steps, saved, loaded and trained once more.
namespace portability {

using Space = Kokkos::DefaultExecutionSpace;

template <class Data>
using Owned = Kokkos::View<Data, Kokkos::LayoutRight, Space>;

template <class Model>
void train(Model& model, typename Model::Batch const& batch) {
  dchag::Trainer trainer(model, dchag::AdamW{.learning_rate = 1e-3}, dchag::WarmupCosine{.warmup = 1, .total = 10});
  trainer.step(batch);
  trainer.step(batch);
  auto const path = std::filesystem::temp_directory_path() / "dchag_portability.safetensors";
  dchag::save(model, trainer, path);
  dchag::load(model, trainer, path);
  std::filesystem::remove(path);
  trainer.step(batch);
  dchag::require(trainer.evaluate(batch) > 0, "portability: the loss is not positive");
}

template <class... Policies>
void train_masked_autoencoder() {
  using Model = dchag::MaskedAutoencoder<Policies...>;
  dchag::Index const images = 2, channels = 12;
  Model model(dchag::Mesh(), {.channels = channels,
                              .height = 8,
                              .width = 8,
                              .patch = 2,
                              .embed = 16,
                              .heads = 2,
                              .depth = 1,
                              .decoder = {.embed = 8, .heads = 2, .depth = 1}});
  Owned<typename Model::Scalar****> pixels("pixels", images, channels, 8, 8),
      prediction("prediction", images, channels, 8, 8);
  Owned<dchag::Index**> keep("keep", images, model.config().kept());
  auto const host = Kokkos::create_mirror_view(keep);
  for (std::size_t i = 0; i < host.extent(0); ++i)
    for (std::size_t k = 0; k < host.extent(1); ++k) host(i, k) = static_cast<dchag::Index>(k);
  Kokkos::deep_copy(keep, host);
  Kokkos::deep_copy(pixels, 1);
  train(model, {pixels, keep});
}

template <class... Policies>
void train_forecaster() {
  using Model = dchag::Forecaster<Policies...>;
  dchag::Index const images = 2, channels = 12;
  Model model(dchag::Mesh(), {.channels = channels,
                              .out_channels = 3,
                              .height = 8,
                              .width = 8,
                              .patch = 2,
                              .embed = 16,
                              .heads = 2,
                              .depth = 1});
  Owned<typename Model::Scalar****> pixels("pixels", images, channels, 8, 8), target("target", images, 3, 8, 8);
  Owned<typename Model::Scalar*> lead_time("lead_time", images);
  Kokkos::deep_copy(target, 1);
  train(model, {pixels, target, lead_time});
}

}  // namespace portability
