#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/channel_statistics.hpp>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "wavelengths.hpp"

namespace pines {

using dchag::Index;
using dchag::require;

enum class Part { train, validation, test };

struct Pixel {
  int row, column;
};

/// Some bands of a scene, or all of them, each standardised by the mean and deviation of its training pixels, with a
/// class for some pixels. Bands are numbered from 0 on among those that it has. It is split by area, in blocks of 29 x
/// 29 pixels: f = (row block + 2 column block) mod 5 is 0 for test, 1 for validation.
class Scene {
 public:
  static constexpr int block = 29;
  static constexpr Index real_bands = static_cast<Index>(wavelengths_nm.size()), synthetic_bands = 24;

  /// All bands of the scene, or of the made-up one.
  static std::vector<dchag::Channel> channels(bool synthetic) {
    std::vector<dchag::Channel> list;
    for (Index number = 0; number < (synthetic ? synthetic_bands : real_bands); ++number)
      list.push_back({.name = name_of(number), .wavelength = wavelength_of(number, synthetic)});
    return list;
  }

  /// Reads bands (ascending, from 0 on) of Indian_pines_corrected.npy [145, 145, 200], no byte of the others, and
  /// Indian_pines_gt.npy [145, 145] of a folder.
  static Scene read(std::filesystem::path const& folder, std::vector<Index> bands) {
    dchag::NpyFile cube(folder / "Indian_pines_corrected.npy"), truth(folder / "Indian_pines_gt.npy");
    std::vector<std::size_t> const edges{5 * block, 5 * block, wavelengths_nm.size()};
    require(cube.shape() == edges, cube.path().string(), ": is not the scene of 145 x 145 pixels and 200 bands");
    require(truth.shape() == std::vector<std::size_t>{edges[0], edges[1]}, truth.path().string(),
            ": does not hold a class for each of 145 x 145 pixels");
    Scene scene(5 * block, 5 * block, std::move(bands));
    cube.read_channels<float>(scene.numbers_, scene.values_);
    scene.bytes_read_ = cube.bytes_read();
    auto const labels = truth.read<std::uint8_t>();
    scene.labels_.assign(labels.begin(), labels.end());
    for (Index number : scene.numbers_) scene.wavelengths_.push_back(wavelength_of(number, false));
    scene.standardise();
    return scene;
  }

  /// Bands (ascending, of 24) of three by three blocks of smooth mixtures of two spectra, with a little noise and four
  /// classes.
  static Scene synthetic(std::vector<Index> bands) {
    Scene scene(3 * block, 3 * block, std::move(bands));
    for (int r = 0; r < scene.rows_; ++r)
      for (int c = 0; c < scene.columns_; ++c) {
        double const a = std::sin(0.21 * r) * std::cos(0.17 * c), b = std::cos(0.11 * (r + c));
        scene.labels_[scene.pixel(r, c)] = 1 + (a > 0) + 2 * (b > 0);
        for (int band = 0; band < scene.bands(); ++band) {
          int const k = static_cast<int>(scene.numbers_[static_cast<std::size_t>(band)]);
          double const noise = dchag::random_normal(1, scene.index(k, r, c));
          scene.values_[scene.index(band, r, c)] =
              static_cast<float>(1000 * (3 + a * std::sin(0.3 * k) + b * std::cos(0.2 * k)) + 20 * noise);
        }
      }
    for (Index number : scene.numbers_) scene.wavelengths_.push_back(wavelength_of(number, true));
    scene.standardise();
    return scene;
  }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int bands() const { return static_cast<int>(numbers_.size()); }
  std::uint64_t bytes_read() const { return bytes_read_; }  // of bands, from the file

  /// Standardised.
  float value(int band, int row, int column) const { return values_[index(band, row, column)]; }
  /// All bands from a pixel on, values_per_band() apart.
  float const* at(Pixel place) const { return values_.data() + pixel(place.row, place.column); }
  std::size_t values_per_band() const { return labels_.size(); }

  int label(int row, int column) const { return labels_[pixel(row, column)]; }                // 0 where there is none
  double wavelength(int band) const { return wavelengths_[static_cast<std::size_t>(band)]; }  // nanometres
  /// What the sensor counted.
  double counts(int band, double standardised) const {
    return standardised * deviation_[static_cast<std::size_t>(band)] + mean_[static_cast<std::size_t>(band)];
  }

  /// Of the training pixels, by which the bands are standardised.
  std::vector<dchag::ChannelStatistics> statistics() const {
    std::vector<dchag::ChannelStatistics> list;
    for (std::size_t k = 0; k < numbers_.size(); ++k) list.push_back({name_of(numbers_[k]), mean_[k], deviation_[k]});
    return list;
  }

  static Part part_of(int row, int column) {
    int const f = (row / block + 2 * (column / block)) % 5;
    return f == 0 ? Part::test : f == 1 ? Part::validation : Part::train;
  }

  /// All pixels of a part, row by row.
  std::vector<Pixel> pixels_in(Part part) const {
    std::vector<Pixel> pixels;
    for (int r = 0; r < rows_; ++r)
      for (int c = 0; c < columns_; ++c)
        if (part_of(r, c) == part) pixels.push_back({r, c});
    return pixels;
  }

  /// The upper left pixels of all squares of that edge, at most a block's, that lie wholly in a part.
  std::vector<Pixel> squares_in(Part part, int edge) const {
    std::vector<Pixel> corners;
    for (int r = 0; r + edge <= rows_; ++r)
      for (int c = 0; c + edge <= columns_; ++c) {
        int const last_row = r + edge - 1, last_column = c + edge - 1;
        if (part_of(r, c) == part && part_of(r, last_column) == part && part_of(last_row, c) == part &&
            part_of(last_row, last_column) == part)
          corners.push_back({r, c});
      }
    return corners;
  }

  /// The upper left pixels of the four squares in the corners of each block of a part: together they cover it where
  /// they are more than half as wide.
  std::vector<Pixel> corners_of_blocks(Part part, int edge) const {
    std::vector<Pixel> corners;
    for (int r = 0; r < rows_; r += block)
      for (int c = 0; c < columns_; c += block)
        if (part_of(r, c) == part)
          for (int down : {0, block - edge})
            for (int right : {0, block - edge}) corners.push_back({r + down, c + right});
    return corners;
  }

 private:
  static std::string name_of(Index number) { return "band_" + std::to_string(number + 1); }
  static double wavelength_of(Index number, bool synthetic) {
    return synthetic ? 400 + 90 * static_cast<double>(number) : wavelengths_nm[static_cast<std::size_t>(number)];
  }

  Scene(int rows, int columns, std::vector<Index> bands) : rows_(rows), columns_(columns), numbers_(std::move(bands)) {
    labels_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
    values_.resize(labels_.size() * numbers_.size());
  }

  std::size_t pixel(int row, int column) const { return static_cast<std::size_t>(row * columns_ + column); }
  std::size_t index(int band, int row, int column) const {
    return static_cast<std::size_t>(band) * labels_.size() + pixel(row, column);
  }

  void standardise() {
    auto const train = pixels_in(Part::train);
    double const count = static_cast<double>(train.size());
    for (int k = 0; k < bands(); ++k) {
      double mean = 0, variance = 0;
      for (auto const& [r, c] : train) mean += value(k, r, c) / count;
      for (auto const& [r, c] : train) variance += (value(k, r, c) - mean) * (value(k, r, c) - mean) / count;
      double const deviation = std::sqrt(std::max(variance, 1e-12));
      for (float& x : std::span(values_).subspan(index(k, 0, 0), labels_.size()))
        x = static_cast<float>((x - mean) / deviation);
      mean_.push_back(mean);
      deviation_.push_back(deviation);
    }
  }

  int rows_, columns_;
  std::vector<Index> numbers_;  // of the bands, in the whole scene
  std::vector<float> values_;   // [bands, rows, columns]
  std::vector<int> labels_;     // [rows, columns]
  std::vector<double> wavelengths_, mean_, deviation_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace pines
