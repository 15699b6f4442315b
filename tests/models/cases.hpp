#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <string>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

template <class... More>
using TinyAutoencoder =
    MaskedAutoencoder<Precision<double>, dchag::Space<Space>, Tree<Linear<3>, CrossAttention<1>>, More...>;
using TinyForecaster = Forecaster<Precision<double>, dchag::Space<Space>>;

inline MaskedAutoencoderConfig autoencoder_config() {
  return {.channels = 5,
          .height = 6,
          .width = 8,
          .patch = 2,
          .embed = 12,
          .heads = 2,
          .depth = 1,
          .mlp_ratio = 2,
          .mask_ratio = 0.5,
          .decoder = {.embed = 8, .heads = 2, .depth = 1, .mlp_ratio = 2}};
}
inline ForecasterConfig forecaster_config() {
  return {.channels = 4,
          .out_channels = 2,
          .height = 6,
          .width = 8,
          .patch = 2,
          .embed = 12,
          .heads = 3,
          .depth = 1,
          .mlp_ratio = 2,
          .decoder_depth = 1};
}

/// Smooth numbers, the same for the same seed.
inline Kokkos::View<double*, Space> numbers(Index count, int seed) {
  Kokkos::View<double*, Space> const view("numbers", static_cast<std::size_t>(count));
  Kokkos::parallel_for(
      Kokkos::RangePolicy<Space>(0, count), KOKKOS_LAMBDA(int i) { view(i) = Kokkos::sin(0.7 * i + 1.3 * seed); });
  return view;
}

/// The largest difference, relative to the largest of the expected numbers, which is above zero.
inline double relative_difference(std::vector<double> const& expected, std::vector<double> const& actual) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(actual[i] - expected[i]));
  }
  require(expected.size() == actual.size() && largest > 0, "there is nothing to compare");
  return difference / largest;
}

/// Images and visible locations that live as long as it does.
struct AutoencoderData {
  using Batch = TinyAutoencoder<>::Batch;
  Kokkos::View<double*, Space> images;
  Kokkos::View<Index*, Space> keep;
  MaskedAutoencoderConfig config;

  AutoencoderData(MaskedAutoencoderConfig const& config, Index count, int seed)
      : images(numbers(count * config.channels * config.height * config.width, seed)), config(config) {
    std::vector<Index> visible;
    for (Index b = 0; b < count; ++b)
      for (Index k = 0; k < config.kept(); ++k) visible.push_back((5 * k + b + seed) % config.locations());
    keep = Kokkos::View<Index*, Space>("keep", visible.size());
    Kokkos::deep_copy(keep, Kokkos::View<Index const*, Kokkos::HostSpace>(visible.data(), visible.size()));
  }
  /// `count` images from the first-th on.
  template <class Model>
  typename Model::Batch batch(Index first, Index count) const {
    Index const one = config.channels * config.height * config.width;
    return {reshape<double const****, Space>(static_cast<double const*>(images.data()) + first * one, count,
                                             config.channels, config.height, config.width),
            reshape<Index const**, Space>(static_cast<Index const*>(keep.data()) + first * config.kept(), count,
                                          config.kept())};
  }
};

template <class Model>
std::vector<double> gradients_of(Model& model) {
  std::vector<double> all;
  for (auto const& parameter : model.parameters().all()) {
    auto const host = Kokkos::create_mirror_view_and_copy(
        Kokkos::HostSpace(), parameter.template gradient<typename Model::Scalar*>(parameter.size()));
    all.insert(all.end(), host.data(), host.data() + host.size());
  }
  return all;
}

/// What a callable's Error says; empty where it throws none.
template <class F>
std::string message(F const& f) {
  try {
    f();
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}

}  // namespace dchag::tests
