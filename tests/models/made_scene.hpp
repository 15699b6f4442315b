#pragma once

#include <cmath>
#include <cstddef>
#include <dchag/io/window.hpp>
#include <dchag/models/scene.hpp>
#include <limits>
#include <span>
#include <vector>

#include "models/cases.hpp"

namespace dchag::tests {

inline constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

/// An image [bands, height, width] on the host.
struct HostImage {
  Index bands, height, width;
  std::vector<double> values = std::vector<double>(static_cast<std::size_t>(bands * height * width), nothing);

  double& at(Index band, Index row, Index column) {
    return values[static_cast<std::size_t>((band * height + row) * width + column)];
  }
  void get(Window const& window, std::span<double> to) {
    each(window, [&, i = std::size_t{0}](double& value) mutable { to[i++] = value; });
  }
  void put(Window const& window, std::span<double const> from) {
    each(window, [&, i = std::size_t{0}](double& value) mutable { value = from[i++]; });
  }
  template <class Use>
  void each(Window const& window, Use use) {
    for (Index band = 0; band < bands; ++band)
      for (Index row = window.top; row < window.top + window.height; ++row)
        for (Index column = window.left; column < window.left + window.width; ++column) use(at(band, row, column));
  }
};

/// No two pixels alike, of 5 bands.
inline HostImage made_scene(Index height, Index width) {
  HostImage scene{5, height, width};
  for (std::size_t i = 0; i < scene.values.size(); ++i)
    scene.values[i] = std::sin(0.37 * static_cast<double>(i)) + 0.001 * static_cast<double>(i % 97);
  return scene;
}

inline std::vector<ChannelStatistics> plain_statistics() {
  return {{"band_1", 0, 1}, {"band_2", 0, 1}, {"band_3", 0, 1}, {"band_4", 0, 1}, {"band_5", 0, 1}};
}

template <class Model>
HostImage features_of(Model& model, HostImage scene, std::vector<ChannelStatistics> const& statistics,
                      SceneOptions const& options) {
  SceneInference<Model> inference(model, scene.height, scene.width, statistics, options);
  HostImage out{model.config().embed, inference.feature_height(), inference.feature_width()};
  inference.features([&](Window const& window, std::span<double> to) { scene.get(window, to); },
                     [&](Window const& window, std::span<double const> from) { out.put(window, from); });
  return out;
}

template <class Model>
HostImage reconstruction_of(Model& model, HostImage scene, std::vector<ChannelStatistics> const& statistics,
                            SceneOptions const& options) {
  SceneInference<Model> inference(model, scene.height, scene.width, statistics, options);
  HostImage out{scene.bands, scene.height, scene.width};
  inference.reconstruct([&](Window const& window, std::span<double> to) { scene.get(window, to); },
                        [&](Window const& window, std::span<double const> from) { out.put(window, from); });
  return out;
}

}  // namespace dchag::tests
