#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <dchag/dchag.hpp>
#include <dchag/models/raster_scene.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/scratch.hpp"
#include "models/made_scene.hpp"

namespace dchag::tests {
namespace {

/// 5 bands of 13 x 19 pixels, in an order of their own, of which one pixel has no data; 10 m on the ground.
struct MadeRaster {
  explicit MadeRaster(std::string const& name) : path(scratch / name), scene(made_scene(13, 19)) {
    scene.at(1, 6, 8) = nothing;
    RasterLayout layout{.height = 13,
                        .width = 19,
                        .bands = {},
                        .georeference = {.transform = std::array{1000.0, 10.0, 0.0, 2000.0, 0.0, -10.0}},
                        .dtype = Dtype::F64};
    for (int band = 4; band >= 0; --band)
      layout.bands.push_back({"band of " + std::to_string(band), "K", {}, 500.0 + band});
    RasterWriter writer(path, layout);
    std::vector<double> reversed;
    for (Index band = 4; band >= 0; --band)
      reversed.insert(reversed.end(), &scene.at(band, 0, 0), &scene.at(band, 12, 18) + 1);
    writer.write(Window{0, 0, 13, 19}, std::span<double const>(reversed));
    writer.commit();
  }

  Scratch scratch;
  std::filesystem::path path;
  HostImage scene;  // in the order of the numbers in the bands' names
};

HostImage read(std::filesystem::path const& path) {
  RasterFile const file(path);
  HostImage image{static_cast<Index>(file.bands().size()), file.height(), file.width()};
  RasterScene const all(file);
  all(Window{0, 0, file.height(), file.width()}, std::span(image.values));
  return image;
}

bool same(HostImage const& a, HostImage const& b) {
  return a.bands == b.bands && a.height == b.height && a.width == b.width &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

TEST_CASE("features and a reconstruction of a raster are those of the scene in it, at its place") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  for (char const* name : {"scene.tif", "scene.img"}) {
    CAPTURE(name);
    MadeRaster made(name);
    RasterFile const file(made.path);
    std::vector<Index> bands;
    for (int band = 0; band < 5; ++band) bands.push_back(file.band("band of " + std::to_string(band)));
    RasterScene const scene(file, bands);
    auto const statistics = scene.statistics();

    auto const features = made.scratch / (std::string("features") + name);
    write_features(model, scene, statistics, features);
    CHECK(same(read(features), features_of(model, made.scene, statistics, {})));
    RasterFile const map(features);
    CHECK(map.bands().size() == 12);
    CHECK(map.channels()[3].name == "feature 3");
    CHECK(map.height() == 7);
    CHECK(map.georeference().transform == std::array{1000.0, 20.0, 0.0, 2000.0, 0.0, -20.0});

    auto const again = made.scratch / (std::string("again") + name);
    write_reconstruction(model, scene, statistics, again);
    CHECK(same(read(again), reconstruction_of(model, made.scene, statistics, {})));
    RasterFile const reconstruction(again);
    CHECK(reconstruction.georeference() == file.georeference());
    for (std::size_t band = 0; band < 5; ++band) CHECK(reconstruction.channels()[band] == file.channels()[4 - band]);
  }
}

TEST_CASE("a raster's statistics are those of its complete pixels") {
  MadeRaster made("scene.tif");
  RasterFile const file(made.path);
  auto const statistics = RasterScene(file).statistics();
  for (std::size_t band = 0; band < 5; ++band) {
    double mean = 0, squares = 0;
    for (Index pixel = 0; pixel < 13 * 19; ++pixel) {
      if (pixel == 6 * 19 + 8) continue;
      double const value = made.scene.values[(4 - band) * 247 + static_cast<std::size_t>(pixel)];
      mean += value / 246, squares += value * value / 246;
    }
    CHECK(statistics[band].mean == doctest::Approx(mean).epsilon(1e-5));
    CHECK(statistics[band].deviation == doctest::Approx(std::sqrt(squares - mean * mean)).epsilon(1e-5));
  }
}

TEST_CASE("a raster of another number of bands is refused, and where reading fails nothing is written") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  MadeRaster made("scene.tif");
  RasterFile const file(made.path);
  auto const out = made.scratch / "out.tif";
  CHECK(holds(message([&] {
                write_features(model, RasterScene(file, {0, 1}), plain_statistics(), out);
              }),
              "2 bands for a model of 5 channels"));
  auto const bytes = slurp(made.path);
  spew(made.scratch / "cut.tif", bytes.substr(0, bytes.size() - 2000));
  CHECK_FALSE(message([&] {
                RasterFile const cut(made.scratch / "cut.tif");
                write_features(model, RasterScene(cut), plain_statistics(), out);
              }).empty());
  CHECK(made.scratch.entries() == 2);
}

}  // namespace
}  // namespace dchag::tests
