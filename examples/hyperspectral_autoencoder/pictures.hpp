#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <dchag/io/picture.hpp>
#include <dchag/io/plot.hpp>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "evaluation.hpp"

namespace pines {

/// One crop of each block of the scene, side by side: what is there, and what a model makes of the visible patches.
class Mosaic {
 public:
  template <class Model>
  Mosaic(Evaluation<Model>& evaluation, Scene const& scene, dchag::MaskedAutoencoderConfig const& config)
      : scene_(&scene),
        crop_(static_cast<int>(config.height)),
        rows_(scene.rows() / Scene::block * crop_),
        columns_(scene.columns() / Scene::block * crop_) {
    auto const across = static_cast<std::size_t>(columns_ / crop_), down = static_cast<std::size_t>(rows_ / crop_);
    auto const corner = [&](std::size_t block) {
      return Pixel{static_cast<int>(block / across) * Scene::block, static_cast<int>(block % across) * Scene::block};
    };
    Crops<Model> crops(scene, config, across * down);
    crops.fill(dchag::random_key(0, "picture"), 0, [&](std::size_t block) { return Framing{corner(block)}; });
    auto const answers = evaluation.reconstruct(crops);
    visible_.resize(static_cast<std::size_t>(rows_ * columns_));
    answers_.resize(visible_.size() * static_cast<std::size_t>(scene.bands()));
    for (std::size_t block = 0; block < crops.count(); ++block) {
      Visible const visible(crop_, crops.patch(), crops.visible(block));
      for (std::size_t i = 0; i < crops.pixels(); ++i) {
        int const row = corner(block).row / Scene::block * crop_ + static_cast<int>(i) / crop_;
        int const column = corner(block).column / Scene::block * crop_ + static_cast<int>(i) % crop_;
        visible_[number(row, column)] = visible[i];
        for (int k = 0; k < scene.bands(); ++k)
          answers_[number(row, column) * static_cast<std::size_t>(scene.bands()) + static_cast<std::size_t>(k)] =
              visible[i] ? crops.band(block, k)[i]
                         : answers[block * crops.size_of_one() + static_cast<std::size_t>(k) * crops.pixels() + i];
      }
    }
  }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int crop() const { return crop_; }
  bool visible(int row, int column) const { return visible_[number(row, column)]; }

  /// Where a pixel of the mosaic lies in the scene.
  Pixel place(int row, int column) const {
    return {row / crop_ * Scene::block + row % crop_, column / crop_ * Scene::block + column % crop_};
  }
  bool test(int row, int column) const {
    return Scene::part_of(place(row, column).row, place(row, column).column) == Part::test;
  }

  double truth(int band, int row, int column) const {
    return scene_->value(band, place(row, column).row, place(row, column).column);
  }
  /// The model's answer; the truth where it is visible.
  double answer(int band, int row, int column) const {
    return answers_[number(row, column) * static_cast<std::size_t>(scene_->bands()) + static_cast<std::size_t>(band)];
  }
  /// Root mean square over bands.
  double error(int row, int column) const {
    double sum = 0;
    for (int k = 0; k < scene_->bands(); ++k) sum += std::pow(answer(k, row, column) - truth(k, row, column), 2);
    return std::sqrt(sum / scene_->bands());
  }

 private:
  std::size_t number(int row, int column) const { return static_cast<std::size_t>(row * columns_ + column); }

  Scene const* scene_;
  int crop_, rows_, columns_;
  std::vector<bool> visible_;
  std::vector<float> answers_;  // [rows, columns, bands]
};

namespace detail {

/// The value that a share of the values does not exceed.
inline double quantile(std::vector<double> values, double share) {
  auto const middle = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Red, green and blue from the bands nearest to them, each from its 1st to its 99th percentile.
class TrueColour {
 public:
  TrueColour(Mosaic const& mosaic, Scene const& scene) {
    bool const many = scene.bands() > 25;
    bands_ = many ? std::array{25, 15, 6} : std::array{scene.bands() - 1, scene.bands() / 2, 0};
    for (std::size_t channel = 0; channel < 3; ++channel) {
      std::vector<double> values;
      for (int r = 0; r < mosaic.rows(); ++r)
        for (int c = 0; c < mosaic.columns(); ++c) values.push_back(mosaic.truth(bands_[channel], r, c));
      low_[channel] = quantile(values, 0.01);
      high_[channel] = quantile(values, 0.99);
    }
  }

  /// value(band) tells the standardised value of a pixel.
  template <class Value>
  dchag::Colour operator()(Value const& value) const {
    auto const level = [&](std::size_t channel) {
      double const part = (value(bands_[channel]) - low_[channel]) / std::max(high_[channel] - low_[channel], 1e-9);
      return static_cast<std::uint8_t>(std::lround(255 * std::clamp(0.04 + 0.92 * part, 0.0, 1.0)));
    };
    return {level(0), level(1), level(2)};
  }

 private:
  std::array<int, 3> bands_;
  std::array<double, 3> low_, high_;
};

template <class ColourOf>
dchag::Picture paint(Mosaic const& mosaic, int zoom, ColourOf const& colour_of) {
  dchag::Picture small(mosaic.columns(), mosaic.rows()), large(zoom * mosaic.columns(), zoom * mosaic.rows());
  for (int r = 0; r < mosaic.rows(); ++r)
    for (int c = 0; c < mosaic.columns(); ++c) small.set(c, r, colour_of(r, c));
  large.blit(0, 0, small, zoom);
  constexpr dchag::Colour frame{255, 60, 40};
  int const edge = zoom * mosaic.crop();
  for (int r = 0; r < mosaic.rows(); r += mosaic.crop())
    for (int c = 0; c < mosaic.columns(); c += mosaic.crop()) {
      if (!mosaic.test(r, c)) continue;
      int const x = zoom * c, y = zoom * r, thick = 2;
      large.fill(x, y, edge, thick, frame);
      large.fill(x, y + edge - thick, edge, thick, frame);
      large.fill(x, y, thick, edge, frame);
      large.fill(x + edge - thick, y, thick, edge, frame);
    }
  return large;
}

inline std::string decimals(double value, int count) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", count, value);
  return buffer.data();
}

/// The measured and the reconstructed spectrum of one pixel.
inline dchag::Picture spectra(Mosaic const& mosaic, Scene const& scene, int row, int column, int width, int height) {
  std::vector<int> order(static_cast<std::size_t>(scene.bands()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scene.wavelength(a) < scene.wavelength(b); });
  double const first = scene.wavelength(order.front()), last = scene.wavelength(order.back());
  double const widest = 5 * (last - first) / scene.bands();  // wider gaps have no band: lines are interrupted
  dchag::Curve truth{"measured", {}, {}, dchag::curve_colour(0)},
      model{"reconstructed", {}, {}, dchag::curve_colour(1)};
  double before = first;
  for (int k : order) {
    double const here = scene.wavelength(k);
    for (dchag::Curve* curve : {&truth, &model}) {
      if (here - before > widest) {
        curve->x.push_back(std::numeric_limits<double>::quiet_NaN());
        curve->y.push_back(0);
      }
      curve->x.push_back(here);
      curve->y.push_back(
          scene.counts(k, curve == &truth ? mosaic.truth(k, row, column) : mosaic.answer(k, row, column)));
    }
    before = here;
  }
  Pixel const place = mosaic.place(row, column);
  dchag::Plot plot("hidden pixel at row " + std::to_string(place.row) + ", column " + std::to_string(place.column) +
                       ": error " + decimals(mosaic.error(row, column), 2),
                   "wavelength, nm", "sensor counts");
  plot.add(truth);
  plot.add(model);
  return plot.draw(width, height);
}

/// Hidden pixels of the test blocks, in the order of their errors.
inline std::vector<Pixel> hidden_test_pixels(Mosaic const& mosaic) {
  std::vector<std::pair<double, Pixel>> pixels;
  for (int r = 0; r < mosaic.rows(); ++r)
    for (int c = 0; c < mosaic.columns(); ++c)
      if (mosaic.test(r, c) && !mosaic.visible(r, c)) pixels.emplace_back(mosaic.error(r, c), Pixel{r, c});
  std::stable_sort(pixels.begin(), pixels.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
  std::vector<Pixel> ordered;
  for (auto const& [error, pixel] : pixels) ordered.push_back(pixel);
  return ordered;
}

}  // namespace detail

/// True colour, what the model saw, its reconstruction and the error of that side by side; below, the spectra of four
/// hidden pixels of the test blocks, from small to large errors.
inline void draw(Mosaic const& mosaic, Scene const& scene, std::filesystem::path const& path) {
  constexpr int gap = 24, top = 48, plot_height = 330, scale = 80;
  int const zoom = std::max(1, 430 / mosaic.columns()), wide = zoom * mosaic.columns(), high = zoom * mosaic.rows();
  int const width = 4 * (wide + gap) + scale, plot_top = top + high + 44;
  dchag::Picture picture(width, plot_top + 2 * plot_height);
  detail::TrueColour const colour(mosaic, scene);
  std::vector<double> errors;
  for (int r = 0; r < mosaic.rows(); ++r)
    for (int c = 0; c < mosaic.columns(); ++c) errors.push_back(mosaic.error(r, c));
  double const worst = std::max(0.5, std::ceil(2 * detail::quantile(errors, 0.98)) / 2);

  auto const panel = [&](int index, std::string const& title, auto const& colour_of) {
    int const left = gap + index * (wide + gap);
    picture.text(left, top - 24, title, dchag::black, 2);
    picture.blit(left, top, detail::paint(mosaic, zoom, colour_of));
  };
  auto const truth = [&](int r, int c) { return colour([&](int k) { return mosaic.truth(k, r, c); }); };
  panel(0, "True colour", truth);
  panel(1, "Visible to the model", [&](int r, int c) {
    return mosaic.visible(r, c) ? truth(r, c) : dchag::Colour{40, 40, 40};
  });
  panel(2, "Reconstruction", [&](int r, int c) { return colour([&](int k) { return mosaic.answer(k, r, c); }); });
  panel(3, "Error, RMS of bands", [&](int r, int c) { return dchag::colour_map(mosaic.error(r, c) / worst); });
  int const bar = 4 * (wide + gap) + 8;
  for (int y = 0; y < high; ++y)
    picture.fill(bar, top + y, 14, 1, dchag::colour_map(1 - static_cast<double>(y) / (high - 1)));
  for (int tick = 0; tick <= 2; ++tick)
    picture.text(bar + 20, top + (high - 14) * tick / 2, detail::decimals(worst * (2 - tick) / 2, 2), dchag::black, 2);
  picture.text(
      gap, top + high + 12,
      "One crop of each block. Framed: test blocks, never trained on. Error in standardised bands; below, from small "
      "to large.",
      dchag::black, 2);

  auto const hidden = detail::hidden_test_pixels(mosaic);
  int const plot_width = width / 2;
  for (int i = 0; i < 4 && !hidden.empty(); ++i) {
    auto const [r, c] = hidden[hidden.size() * static_cast<std::size_t>(2 * i + 1) / 8];
    picture.blit(i % 2 * plot_width, plot_top + i / 2 * plot_height,
                 detail::spectra(mosaic, scene, r, c, plot_width, plot_height));
  }
  dchag::write_png(path, picture);
}

}  // namespace pines
