#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

enum class GridKind {
  regular,    // equal steps of latitude
  gaussian,   // the nodes of Gauss-Legendre quadrature
  irregular,  // neither
};

/// The nodes of Gauss-Legendre quadrature of that many points, as latitudes in degrees from north to south, and its
/// weights, whose sum is 2. By Newton's method on the Legendre polynomial; see Abramowitz and Stegun, 25.4.29.
struct GaussianLatitudes {
  std::vector<double> latitudes, weights;

  explicit GaussianLatitudes(std::size_t count) : latitudes(count), weights(count) {
    double const pi = std::acos(-1.0), n = static_cast<double>(count);
    for (std::size_t i = 0; i < count; ++i) {
      double x = std::cos(pi * (static_cast<double>(i) + 0.75) / (n + 0.5)), slope = 1;
      for (int round = 0; round < 100; ++round) {
        double below = 1, value = x;  // P(k - 1), P(k)
        for (double k = 2; k <= n; ++k) {
          double const next = ((2 * k - 1) * x * value - (k - 1) * below) / k;
          below = value;
          value = next;
        }
        slope = n * (x * value - below) / (x * x - 1);
        double const step = value / slope;
        x -= step;
        if (std::abs(step) < 1e-15) break;
      }
      latitudes[i] = std::asin(x) * 180 / pi;
      weights[i] = 2 / ((1 - x * x) * slope * slope);
    }
  }
};

/// The rows and columns of a grid of latitudes and longitudes.
class LatitudeGrid {
 public:
  /// Latitudes in degrees, in the order of the rows. Throws Error, beginning with source, where they are not finite,
  /// beyond the poles, or neither fall nor rise from row to row.
  LatitudeGrid(std::vector<double> latitudes, std::vector<double> longitudes, std::string_view source)
      : latitudes_(std::move(latitudes)), longitudes_(std::move(longitudes)) {
    check(source);
    bool const rises = latitudes_.front() < latitudes_.back();
    kind_ = classify(rises ? std::vector<double>(latitudes_.rbegin(), latitudes_.rend()) : latitudes_);
  }

  /// Degrees north.
  std::vector<double> const& latitudes() const { return latitudes_; }
  /// Degrees east, as the file has them.
  std::vector<double> const& longitudes() const { return longitudes_; }
  std::size_t height() const { return latitudes_.size(); }
  std::size_t width() const { return longitudes_.size(); }
  GridKind kind() const { return kind_; }

  /// What each row counts for in a mean over the area, divided by the mean of all rows. A Gaussian grid has its
  /// quadrature weights; on any other a row reaches to midway between it and its neighbours and weighs
  /// sin(upper) - sin(lower). The outermost rows reach as far outwards as inwards, but not beyond a pole.
  std::vector<double> weights() const {
    std::size_t const rows = height();
    std::vector<double> weights(rows, 1.0);
    if (rows == 1) return weights;
    if (kind_ == GridKind::gaussian) {
      weights = GaussianLatitudes(rows).weights;  // the same from either side
    } else {
      double const degree = std::acos(-1.0) / 180;
      auto const bound = [&](std::size_t i) {  // between rows i - 1 and i
        std::size_t const before = std::clamp<std::size_t>(i, 1, rows - 1) - 1, after = before + 1;
        double const step = latitudes_[after] - latitudes_[before], middle = latitudes_[before] + step / 2;
        double const shifted = i == 0 ? middle - step : i == rows ? middle + step : middle;
        return std::sin(std::clamp(shifted, -90.0, 90.0) * degree);
      };
      for (std::size_t i = 0; i < rows; ++i) weights[i] = std::abs(bound(i + 1) - bound(i));
    }
    double sum = 0;
    for (double const weight : weights) sum += weight;
    for (double& weight : weights) weight *= static_cast<double>(rows) / sum;
    return weights;
  }

 private:
  static constexpr double rounding = 2e-3;  // degrees: files round their latitudes to two or three decimals

  void check(std::string_view source) const {
    require(!latitudes_.empty() && !longitudes_.empty(), source, ": has ", latitudes_.size(), " latitudes and ",
            longitudes_.size(), " longitudes: a field needs at least one of each");
    for (std::size_t i = 0; i < height(); ++i)
      require(std::abs(latitudes_[i]) <= 90 + rounding, source, ": its latitude ", i, " = ", latitudes_[i],
              " is not within 90 degrees of the equator");
    for (std::size_t i = 0; i < width(); ++i)
      require(std::abs(longitudes_[i]) <= 1000, source, ": its longitude ", i, " = ", longitudes_[i],
              " is not an angle in degrees");
    for (std::size_t i = 2; i < height(); ++i)
      require((latitudes_[i] - latitudes_[i - 1]) * (latitudes_[1] - latitudes_[0]) > 0, source, ": its latitudes ",
              i - 1, " and ", i, ", ", latitudes_[i - 1], " and ", latitudes_[i],
              ", do not go on as the first two do: they must fall or rise all along");
    require(height() < 2 || latitudes_[0] != latitudes_[1], source, ": its first two latitudes are both ",
            latitudes_[0]);
  }

  static GridKind classify(std::vector<double> const& north_to_south) {
    std::size_t const rows = north_to_south.size();
    if (rows < 2) return GridKind::irregular;
    double const first = north_to_south.front(), step = (north_to_south.back() - first) / static_cast<double>(rows - 1);
    double const tolerance = std::min(rounding, -step / 20);
    // The first node lies about where the Bessel function J0 has its first zero, 2.4048.
    double const first_node = 90 - 2.4048 * 180 / std::acos(-1.0) / (static_cast<double>(rows) + 0.5);
    if (std::abs(first - first_node) < std::max(rounding, -step / 10) && rows <= largest_gaussian) {
      auto const nodes = GaussianLatitudes(rows).latitudes;
      if (std::equal(nodes.begin(), nodes.end(), north_to_south.begin(),
                     [&](double a, double b) { return std::abs(a - b) < tolerance; }))
        return GridKind::gaussian;
    }
    for (std::size_t i = 0; i < rows; ++i)
      if (std::abs(first + static_cast<double>(i) * step - north_to_south[i]) > tolerance) return GridKind::irregular;
    return GridKind::regular;
  }

  static constexpr std::size_t largest_gaussian = 8192;  // finding its nodes takes the square of that

  std::vector<double> latitudes_, longitudes_;
  GridKind kind_ = GridKind::irregular;
};

}  // namespace dchag
