#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/io/picture.hpp>
#include <dchag/io/plot.hpp>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "session.hpp"

namespace pines {

inline constexpr int true_colour[] = {25, 15, 6};  // bands nearest to red, green and blue

/// What the picture shows of the test blocks: for each pixel of the scene truth, what was visible, and the
/// reconstruction.
struct Shown {
  int rows = 0, columns = 0, bands = 0;
  std::vector<bool> tested, visible;
  std::vector<float> truth, model;  // [bands, rows, columns]

  std::size_t at(int row, int column) const { return static_cast<std::size_t>(row * columns + column); }
  float of(std::vector<float> const& values, int band, std::size_t pixel) const {
    return values[static_cast<std::size_t>(band) * tested.size() + pixel];
  }
  double error(std::size_t pixel) const {
    double sum = 0;
    for (int k = 0; k < bands; ++k) sum += std::pow(of(model, k, pixel) - of(truth, k, pixel), 2);
    return std::sqrt(sum / bands);
  }
};

template <class Model>
Shown reconstruct_test_blocks(Session<Model>& session, Scene const& scene) {
  Shown shown{scene.rows(), scene.columns(), scene.bands(), {}, {}, {}, {}};
  std::size_t const pixels = static_cast<std::size_t>(scene.rows() * scene.columns());
  shown.tested.assign(pixels, false);
  shown.visible.assign(pixels, false);
  shown.truth.assign(pixels * static_cast<std::size_t>(scene.bands()), 0);
  shown.model = shown.truth;
  auto const edge = static_cast<int>(session.model().config().height);
  auto corners = scene.block_corners(Part::test, edge);
  std::vector<Scene::Corner> first;
  for (std::size_t i = 0; i < corners.size(); i += 4) first.push_back(corners[i]);  // one crop a block
  session.resize(first.size());
  for (std::size_t crop = 0; crop < first.size(); ++crop) {
    session.crops().copy(scene, first[crop], 0, crop);
    draw_visible(dchag::random_key(7, "picture"), crop, session.model().grid().locations(), session.keep_of(crop));
  }
  auto const prediction = session.predict(session.upload(session.crops()));
  for (std::size_t crop = 0; crop < first.size(); ++crop) {
    Sparse const sparse = session.visible(crop);
    for (int r = 0; r < edge; ++r)
      for (int c = 0; c < edge; ++c) {
        std::size_t const pixel = shown.at(first[crop].row + r, first[crop].column + c), place = sparse.at(r, c);
        shown.tested[pixel] = true;
        shown.visible[pixel] = sparse.known[place];
        for (int k = 0; k < scene.bands(); ++k) {
          std::size_t const in_crop =
              crop * session.crops().size_of_one() + static_cast<std::size_t>(k * edge * edge) + place;
          std::size_t const in_scene = static_cast<std::size_t>(k) * pixels + pixel;
          shown.truth[in_scene] = scene.value(k, first[crop].row + r, first[crop].column + c);
          shown.model[in_scene] = sparse.known[place] ? shown.truth[in_scene] : prediction[in_crop];
        }
      }
  }
  return shown;
}

inline dchag::Colour colour_of(Shown const& shown, std::vector<float> const& values, std::size_t pixel, int bands) {
  auto const level = [&](int channel) {
    double const x = shown.of(values, std::min(true_colour[channel], bands - 1), pixel);
    return static_cast<std::uint8_t>(std::clamp(110 + 45 * x, 0.0, 255.0));
  };
  return {level(0), level(1), level(2)};
}

/// True colour, what was visible, the reconstruction and its error side by side; below, the spectra of four hidden
/// pixels.
inline void draw(Shown const& shown, Scene const& scene, std::filesystem::path const& path) {
  constexpr int zoom = 2, gap = 16, top = 40;
  int const wide = shown.columns * zoom, high = shown.rows * zoom, width = 4 * wide + 5 * gap + 60, plot_height = 260;
  dchag::Picture picture(width, top + high + gap + 2 * (plot_height + gap));
  char const* const titles[] = {"TEST BLOCKS, TRUE COLOUR", "VISIBLE TO THE MODEL", "RECONSTRUCTION",
                                "ERROR (RMS OF BANDS)"};
  constexpr double worst = 1.5;
  for (int panel = 0; panel < 4; ++panel) {
    int const left = gap + panel * (wide + gap);
    picture.text(left, top - 18, titles[panel], dchag::black, 1);
    dchag::Picture image(shown.columns, shown.rows, {232, 232, 232});
    for (int r = 0; r < shown.rows; ++r)
      for (int c = 0; c < shown.columns; ++c) {
        std::size_t const pixel = shown.at(r, c);
        if (!shown.tested[pixel]) continue;
        if (panel == 0) image.set(c, r, colour_of(shown, shown.truth, pixel, shown.bands));
        if (panel == 1)
          image.set(c, r, shown.visible[pixel] ? colour_of(shown, shown.truth, pixel, shown.bands) : dchag::black);
        if (panel == 2) image.set(c, r, colour_of(shown, shown.model, pixel, shown.bands));
        if (panel == 3) image.set(c, r, dchag::colour_map(shown.error(pixel) / worst));
      }
    picture.blit(left, top, image, zoom);
  }
  int const bar = gap + 4 * (wide + gap);
  for (int y = 0; y < high; ++y)
    picture.fill(bar, top + y, 12, 1, dchag::colour_map(1 - static_cast<double>(y) / (high - 1)));
  picture.text(bar + 16, top, "1.5");
  picture.text(bar + 16, top + high - 8, "0");

  std::vector<std::size_t> hidden;
  for (std::size_t pixel = 0; pixel < shown.tested.size(); ++pixel)
    if (shown.tested[pixel] && !shown.visible[pixel]) hidden.push_back(pixel);
  std::vector<int> order(static_cast<std::size_t>(shown.bands));
  std::iota(order.begin(), order.end(), 0);
  bool const known = static_cast<std::size_t>(shown.bands) == wavelengths_nm.size();
  auto const wavelength = [&](int k) { return known ? wavelengths_nm[static_cast<std::size_t>(k)] : k; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return wavelength(a) < wavelength(b); });
  for (int i = 0; i < 4 && !hidden.empty(); ++i) {
    std::size_t const pixel = hidden[hidden.size() * static_cast<std::size_t>(2 * i + 1) / 8];
    dchag::Curve truth{"measured", {}, {}, dchag::curve_colour(0), false, 2},
        model{"reconstructed", {}, {}, dchag::curve_colour(1), true, 2};
    for (int k : order) {
      truth.x.push_back(wavelength(k));
      model.x.push_back(wavelength(k));
      truth.y.push_back(scene.reflectance(k, shown.of(shown.truth, k, pixel)));
      model.y.push_back(scene.reflectance(k, shown.of(shown.model, k, pixel)));
    }
    std::string const title = "hidden pixel: row " + std::to_string(pixel / static_cast<std::size_t>(shown.columns)) +
                              ", column " + std::to_string(pixel % static_cast<std::size_t>(shown.columns));
    int const plot_width = (width - 3 * gap) / 2;
    dchag::Plot plot(title, known ? "wavelength, nm" : "band", "sensor counts");
    plot.add(truth);
    plot.add(model);
    picture.blit(gap + i % 2 * (plot_width + gap), top + high + gap + i / 2 * (plot_height + gap),
                 plot.draw(plot_width, plot_height));
  }
  dchag::write_png(path, picture);
}

}  // namespace pines
