// Runs a model that hyperspectral_autoencoder saved over a scene of any size, and writes what it answers as a raster.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <dchag/models/raster_scene.hpp>
#include <optional>
#include <string>

#include "model_file.hpp"

namespace {

using dchag::Index;

struct Options {
  std::string model, scene, out;
  bool reconstruct = false;
  Index batch = 8;
  std::optional<Index> margin;
};

void add_options(CLI::App& app, Options& o) {
  app.allow_extras();  // Kokkos' own
  app.add_option("model", o.model, "model.safetensors of hyperspectral_autoencoder")->required();
  app.add_option("scene", o.scene, "a raster with the model's bands in its order: ENVI, GeoTIFF, what GDAL reads")
      ->required();
  app.add_option("out", o.out, "written: .tif for GeoTIFF, .img for ENVI")->required();
  app.add_flag("--reconstruct", o.reconstruct, "writes a reconstruction, not features");
  app.add_option("--batch", o.batch, "windows that the model gets at a time")->capture_default_str();
  app.add_option("--margin", o.margin, "pixels at a window's edges that are answered by the next; default: a quarter");
}

/// A line that is drawn over, on a terminal.
void show(Index done, Index windows) {
  if (::isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\rwindow %lld of %lld%s", static_cast<long long>(done), static_cast<long long>(windows),
               done == windows ? "\n" : "");
}

template <class Tree>
void work(ModelFile const& file, Options const& options) {
  dchag::MaskedAutoencoder<Tree> model(dchag::Mesh(), file.config);
  dchag::load(model, options.model);
  dchag::RasterFile const raster(options.scene);
  dchag::RasterScene const scene(raster);
  Index const bands = static_cast<Index>(scene.bands.size());
  dchag::require(bands == file.config.channels, options.scene, ": has ", bands, " bands, the model ", options.model,
                 " was trained on ", file.config.channels);
  std::printf("%s: %lld x %lld pixels, %lld bands, standardised by %s\n", options.scene.c_str(),
              static_cast<long long>(raster.height()), static_cast<long long>(raster.width()),
              static_cast<long long>(bands),
              file.statistics ? "the statistics saved with the model" : "its own statistics: the model has none");
  auto const statistics = file.statistics ? *file.statistics : scene.statistics();
  dchag::SceneOptions const how{.margin = options.margin, .batch = options.batch, .progress = show};
  if (options.reconstruct)
    dchag::write_reconstruction(model, scene, statistics, options.out, how);
  else
    dchag::write_features(model, scene, statistics, options.out, how);
  dchag::RasterFile const written(options.out);
  std::printf("%s: %lld x %lld pixels, %zu bands\n", options.out.c_str(), static_cast<long long>(written.height()),
              static_cast<long long>(written.width()), written.bands().size());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Features, or a reconstruction, of a scene of any size by a masked autoencoder.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    using namespace dchag;
    for (auto const& other : app.remaining())
      require(other.starts_with("--kokkos-"), other, " is no option: --help lists them");
    require(environment.world().size() == 1, "scene_features works on one rank, not on ", environment.world().size());
    ModelFile const file(options.model);
    if (file.levels == 1)  // the trees that hyperspectral_autoencoder has; loading refuses any other
      work<Tree<CrossAttention<1>>>(file, options);
    else
      work<Tree<Linear<8>, CrossAttention<1>>>(file, options);
  });
}
