#pragma once

#include <cstddef>
#include <dchag/models/forecaster.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/training/trainer.hpp>

#include "timing.hpp"

namespace dchag::benchmarks {

/// Weather on a grid of 5.625 degrees: three fields from so many channels.
inline ForecasterConfig forecast(Index channels) {
  ForecasterConfig config;
  config.channels = channels;
  config.out_channels = 3;
  config.height = 32;
  config.width = 64;
  config.patch = 2;
  config.embed = 512;
  config.heads = 8;
  config.depth = 8;
  return config;
}

/// A smaller one, which several ranks share: benchmark_strategies has the same.
inline ForecasterConfig small_forecast(Index channels) {
  ForecasterConfig config = forecast(channels);
  config.embed = 256;
  config.depth = 2;
  return config;
}

/// Steps of training a Forecaster on one image. All ranks of the mesh build it and call step() together.
template <class Model>
class ForecastRun {
 public:
  ForecastRun(Mesh const& mesh, ForecasterConfig const& config)
      : model_(mesh, config),
        trainer_(model_),
        images_(pixels(static_cast<Index>(model_.own_channels().size()) * config.height * config.width)),
        target_(pixels(config.out_channels * config.height * config.width)),
        lead_(pixels(1)) {
    auto const fields = [&](auto const& numbers, Index count) {
      return reshape<float const****, Device>(static_cast<float const*>(numbers.data()), Index{1}, count, config.height,
                                              config.width);
    };
    batch_ = {fields(images_, static_cast<Index>(model_.own_channels().size())), fields(target_, config.out_channels),
              lead_};
    trainer_.step(batch_);
  }

  void step() { trainer_.step(batch_); }
  double seconds() const { return trainer_.report().seconds; }  // of the last step

  /// Bytes on this rank: parameters, gradients and the optimizer's moments; the workspace and the batch.
  std::size_t held_bytes() { return model_.parameters().bytes() + trainer_.optimizer_state().bytes(); }
  std::size_t passing_bytes() const {
    return trainer_.workspace_bytes() + (images_.size() + target_.size() + lead_.size()) * sizeof(float);
  }

 private:
  Model model_;
  Trainer<Model> trainer_;
  Kokkos::View<float*, Device> images_, target_, lead_;
  typename Model::Batch batch_;
};

/// Steps of training a MaskedAutoencoder on `images` images, of which other locations are visible. All ranks of the
/// mesh build it and call step() together.
template <class Model>
class AutoencoderRun {
 public:
  AutoencoderRun(Mesh const& mesh, MaskedAutoencoderConfig const& config, Index images)
      : model_(mesh, config),
        trainer_(model_),
        images_(pixels(images * static_cast<Index>(model_.own_channels().size()) * config.height * config.width)),
        keep_("keep", static_cast<std::size_t>(images), static_cast<std::size_t>(config.kept())) {
    auto const keep = Kokkos::create_mirror_view(keep_);
    Index const locations = config.locations();
    for (Index b = 0; b < images; ++b)
      for (Index k = 0; k < config.kept(); ++k) keep(b, k) = (k * locations / config.kept() + b) % locations;
    Kokkos::deep_copy(keep_, keep);
    batch_ = {
        reshape<float const****, Device>(static_cast<float const*>(images_.data()), images,
                                         static_cast<Index>(model_.own_channels().size()), config.height, config.width),
        keep_};
    trainer_.step(batch_);
  }

  void step() { trainer_.step(batch_); }

  /// As of ForecastRun.
  std::size_t held_bytes() { return model_.parameters().bytes() + trainer_.optimizer_state().bytes(); }
  std::size_t passing_bytes() const {
    return trainer_.workspace_bytes() + images_.size() * sizeof(float) + keep_.size() * sizeof(Index);
  }

 private:
  Model model_;
  Trainer<Model> trainer_;
  Kokkos::View<float*, Device> images_;
  Kokkos::View<Index**, Kokkos::LayoutRight, Device> keep_;
  typename Model::Batch batch_;
};

}  // namespace dchag::benchmarks
