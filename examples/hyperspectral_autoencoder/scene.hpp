#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "wavelengths.hpp"

namespace pines {

using dchag::require;

enum class Part { train, validation, test };

/// A scene of many bands, each standardised by the mean and deviation of its training pixels, with a class for some
/// pixels. It is split by area, in blocks of 29 x 29 pixels: f = (row block + 2 column block) mod 5 is 0 for test, 1
/// for validation.
class Scene {
 public:
  static constexpr int block = 29;

  /// Reads Indian_pines_corrected.npy [145, 145, 200] and Indian_pines_gt.npy [145, 145] of a folder.
  static Scene read(std::filesystem::path const& folder) {
    dchag::NpyFile cube(folder / "Indian_pines_corrected.npy"), truth(folder / "Indian_pines_gt.npy");
    auto const& shape = cube.shape();
    require(shape.size() == 3 && shape[2] == wavelengths_nm.size(), cube.path().string(), ": expected [rows, columns, ",
            wavelengths_nm.size(), "]");
    require(truth.shape().size() == 2 && truth.shape()[0] == shape[0] && truth.shape()[1] == shape[1],
            truth.path().string(), ": expected a class for each of the ", shape[0], " x ", shape[1],
            " pixels of the cube");
    Scene scene(static_cast<int>(shape[0]), static_cast<int>(shape[1]), static_cast<int>(shape[2]));
    cube.read_channels<float>(0, shape[2], scene.values_);
    auto const labels = truth.read<std::uint8_t>();
    scene.labels_.assign(labels.begin(), labels.end());
    scene.standardise();
    return scene;
  }

  /// A smooth scene of few materials, for tests without data.
  static Scene synthetic(int edge, int bands) {
    Scene scene(edge, edge, bands);
    for (int r = 0; r < edge; ++r)
      for (int c = 0; c < edge; ++c) {
        double const a = std::sin(0.21 * r) * std::cos(0.17 * c), b = std::cos(0.11 * (r + c));
        scene.labels_[scene.pixel(r, c)] = 1 + (a > 0) + 2 * (b > 0);
        for (int k = 0; k < bands; ++k) {
          auto const at = static_cast<std::uint64_t>((r * edge + c) * bands + k);
          scene.values_[scene.index(k, r, c)] = static_cast<float>(
              1000 * (3 + a * std::sin(0.3 * k) + b * std::cos(0.2 * k)) + 20 * dchag::random_normal(1, at));
        }
      }
    scene.standardise();
    return scene;
  }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int bands() const { return bands_; }
  float value(int band, int row, int column) const { return values_[index(band, row, column)]; }
  int label(int row, int column) const { return labels_[pixel(row, column)]; }  // 0 where there is none
  double reflectance(int band, double standardised) const {
    return standardised * deviation_[band_(band)] + mean_[band_(band)];
  }

  static Part part_of(int row, int column) {
    int const f = (row / block + 2 * (column / block)) % 5;
    return f == 0 ? Part::test : f == 1 ? Part::validation : Part::train;
  }

  struct Corner {
    int row, column;
  };

  /// Where a square of that edge lies wholly in a part.
  std::vector<Corner> squares_in(Part part, int edge) const {
    std::vector<Corner> corners;
    for (int r = 0; r + edge <= rows_; ++r)
      for (int c = 0; c + edge <= columns_; ++c) {
        bool inside = true;
        for (int i = r; inside && i < r + edge; ++i)
          for (int j = c; inside && j < c + edge; ++j) inside = part_of(i, j) == part;
        if (inside) corners.push_back({r, c});
      }
    require(!corners.empty(), "crop = ", edge,
            ": no square of that edge lies within one part of the scene; use at most ", block);
    return corners;
  }

  /// Squares at the corners of each block of a part: together they cover it.
  std::vector<Corner> block_corners(Part part, int edge) const {
    std::vector<Corner> corners;
    for (int r = 0; r + block <= rows_; r += block)
      for (int c = 0; c + block <= columns_; c += block)
        if (part_of(r, c) == part)
          for (int dr : {0, block - edge})
            for (int dc : {0, block - edge}) corners.push_back({r + dr, c + dc});
    return corners;
  }

 private:
  Scene(int rows, int columns, int bands)
      : rows_(rows),
        columns_(columns),
        bands_(bands),
        values_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * static_cast<std::size_t>(bands)),
        labels_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)) {}

  std::size_t pixel(int row, int column) const { return static_cast<std::size_t>(row * columns_ + column); }
  std::size_t index(int band, int row, int column) const { return band_(band) * labels_.size() + pixel(row, column); }
  static std::size_t band_(int band) { return static_cast<std::size_t>(band); }

  void standardise() {
    for (int k = 0; k < bands_; ++k) {
      double sum = 0, squares = 0, count = 0;
      for (int r = 0; r < rows_; ++r)
        for (int c = 0; c < columns_; ++c)
          if (part_of(r, c) == Part::train) {
            double const x = value(k, r, c);
            sum += x, squares += x * x, ++count;
          }
      mean_.push_back(sum / count);
      deviation_.push_back(std::sqrt(std::max(squares / count - mean_.back() * mean_.back(), 1e-12)));
      for (int r = 0; r < rows_; ++r)
        for (int c = 0; c < columns_; ++c) {
          float& x = values_[index(k, r, c)];
          x = static_cast<float>((x - mean_.back()) / deviation_.back());
        }
    }
  }

  int rows_, columns_, bands_;
  std::vector<float> values_;  // [bands, rows, columns]
  std::vector<int> labels_;    // [rows, columns]
  std::vector<double> mean_, deviation_;
};

/// Square crops of one edge, as [crop, band, edge, edge], and the visible patches of each.
struct Crops {
  int edge = 0, bands = 0;
  std::vector<float> pixels;
  std::vector<dchag::Index> keep;  // [crop, kept]

  std::size_t size_of_one() const { return static_cast<std::size_t>(bands * edge * edge); }
  std::span<float> one(std::size_t crop) { return std::span(pixels).subspan(crop * size_of_one(), size_of_one()); }

  /// Copies a square of the scene, seen in one of the 8 symmetries of a square.
  void copy(Scene const& scene, Scene::Corner corner, int symmetry, std::size_t crop) {
    auto const to = one(crop);
    std::size_t next = 0;
    for (int k = 0; k < bands; ++k)
      for (int i = 0; i < edge; ++i)
        for (int j = 0; j < edge; ++j) {
          int r = symmetry & 1 ? edge - 1 - i : i, c = symmetry & 2 ? edge - 1 - j : j;
          if (symmetry & 4) std::swap(r, c);
          to[next++] = scene.value(k, corner.row + r, corner.column + c);
        }
  }
};

/// `kept` of `locations` in random order, by the key's sequence from a counter on.
inline void draw_visible(std::uint64_t key, std::uint64_t counter, dchag::Index locations,
                         std::span<dchag::Index> kept) {
  std::vector<dchag::Index> all(static_cast<std::size_t>(locations));
  for (std::size_t l = 0; l < all.size(); ++l) all[l] = static_cast<dchag::Index>(l);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::uint64_t const other = i + dchag::random_bits(key, counter * 4096 + i) % (all.size() - i);
    std::swap(all[i], all[other]);
    kept[i] = all[i];
  }
}

}  // namespace pines
