#pragma once

#include <concepts>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/band_statistics.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/raster.hpp>
#include <dchag/io/window.hpp>
#include <dchag/models/scene.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Needs GDAL: link dchag::raster.
namespace dchag {

/// Bands of a raster as a scene: what SceneInference and band_statistics read.
struct RasterScene {
  RasterFile const* file;    // must outlive it
  std::vector<Index> bands;  // numbered from 0 on, in the order of a model's channels

  /// All bands of a raster.
  explicit RasterScene(RasterFile const& raster) : file(&raster) {
    for (std::size_t band = 0; band < raster.bands().size(); ++band) bands.push_back(static_cast<Index>(band));
  }
  RasterScene(RasterFile const& raster, std::vector<Index> chosen) : file(&raster), bands(std::move(chosen)) {}

  template <std::floating_point T>
  void operator()(Window const& window, std::span<T> values) const {
    file->read(window, bands, values);
  }

  std::vector<Channel> channels() const {
    std::vector<Channel> list;
    for (Index const band : bands) list.push_back(file->bands()[static_cast<std::size_t>(band)].channel);
    return list;
  }
  /// Over the pixels that have data in all of these bands.
  std::vector<ChannelStatistics> statistics() const {
    return band_statistics<float>(channels(), file->height(), file->width(), *this);
  }
};

namespace detail {

template <class Model>
SceneInference<Model> inference_on(Model& model, RasterScene const& scene,
                                   std::vector<ChannelStatistics> const& statistics, SceneOptions const& options) {
  require(static_cast<Index>(scene.bands.size()) == model.config().channels, scene.file->path().string(), ": ",
          scene.bands.size(), " bands for a model of ", model.config().channels, " channels: choose as many");
  return {model, scene.file->height(), scene.file->width(), statistics, options};
}

/// run(write) with what writes windows of the raster, which is there when run() is done.
template <class Scalar, class Run>
void write_raster(std::filesystem::path const& path, RasterLayout layout, Run const& run) {
  layout.dtype = dtype_of<Scalar>();
  RasterWriter writer(path, std::move(layout));
  run([&](Window const& window, std::span<Scalar const> values) { writer.write(window, values); });
  writer.commit();
}

}  // namespace detail

/// Writes the features that a model finds in a scene (SceneInference::features) as a raster, GeoTIFF or ENVI by its
/// extension: a band for each feature, a pixel for each patch, NaN where there is no data, at the scene's place. It
/// appears whole or not at all. Throws Error where the scene has another number of bands than the model.
template <class Model>
void write_features(Model& model, RasterScene const& scene, std::vector<ChannelStatistics> const& statistics,
                    std::filesystem::path const& path, SceneOptions const& options = {}) {
  auto inference = detail::inference_on(model, scene, statistics, options);
  RasterLayout layout{.height = inference.feature_height(),
                      .width = inference.feature_width(),
                      .bands = {},
                      .georeference = scene.file->georeference().coarser(model.config().patch)};
  for (Index i = 0; i < model.config().embed; ++i) layout.bands.push_back({"feature " + std::to_string(i)});
  detail::write_raster<typename Model::Scalar>(path, std::move(layout),
                                               [&](auto const& write) { inference.features(scene, write); });
}

/// The same for a reconstruction (SceneInference::reconstruct): a band for each of the scene's, with its name, unit and
/// wavelength.
template <class Model>
void write_reconstruction(Model& model, RasterScene const& scene, std::vector<ChannelStatistics> const& statistics,
                          std::filesystem::path const& path, SceneOptions const& options = {}) {
  auto inference = detail::inference_on(model, scene, statistics, options);
  RasterLayout layout{.height = scene.file->height(),
                      .width = scene.file->width(),
                      .bands = {},
                      .georeference = scene.file->georeference()};
  for (Index band : scene.bands) layout.bands.push_back(scene.file->bands()[static_cast<std::size_t>(band)].channel);
  detail::write_raster<typename Model::Scalar>(path, std::move(layout),
                                               [&](auto const& write) { inference.reconstruct(scene, write); });
}

}  // namespace dchag
