#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/json.hpp>
#include <dchag/io/window.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace dchag {

/// Mean and standard deviation of each band of an image.
struct BandStatistics {
  std::vector<double> mean, deviation;

  Json json() const {
    return Json::Object{{"mean", Json::Array(mean.begin(), mean.end())},
                        {"deviation", Json::Array(deviation.begin(), deviation.end())}};
  }
  /// Throws Error where they are no finite numbers, as many of one as of the other.
  static BandStatistics from(Json const& json) {
    auto const numbers = [&](char const* field) {
      std::vector<double> values;
      for (Json const& value : json.at(field).array(field)) values.push_back(value.to<double>(field));
      return values;
    };
    BandStatistics statistics{numbers("mean"), numbers("deviation")};
    statistics.check("band statistics", static_cast<Index>(statistics.mean.size()));
    return statistics;
  }

  /// Throws Error unless they are of that many bands, finite, no deviation negative.
  void check(std::string_view source, Index bands) const {
    require(static_cast<Index>(mean.size()) == bands && static_cast<Index>(deviation.size()) == bands, source, ": ",
            mean.size(), " means and ", deviation.size(), " deviations of ", bands, " bands");
    for (std::size_t i = 0; i < mean.size(); ++i)
      require(std::isfinite(mean[i]) && std::isfinite(deviation[i]) && deviation[i] >= 0, source, ": band ", i,
              " counted from 0 has mean ", mean[i], " and deviation ", deviation[i],
              ": expected finite numbers, the deviation not negative");
  }

  bool operator==(BandStatistics const&) const = default;
};

namespace detail {

/// Sums from which mean and variance follow without cancellation, over parts that are added one after the other (Chan,
/// Golub and LeVeque, The American Statistician 37, 1983).
struct Moments {
  double count = 0, mean = 0, squares = 0;  // squares: of the deviations from the mean

  void add(Moments const& part) {
    if (part.count == 0) return;
    double const total = count + part.count, step = part.mean - mean;
    squares += part.squares + step * step * count * part.count / total;
    mean += step * part.count / total;
    count = total;
  }
};

/// Of the values at the pixels that are used.
template <class T>
Moments moments(std::span<T const> values, std::span<char const> used) {
  Moments result;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (used[i] != 0) result.mean += static_cast<double>(values[i]), ++result.count;
  if (result.count == 0) return {};
  result.mean /= result.count;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double const difference = static_cast<double>(values[i]) - result.mean;
    if (used[i] != 0) result.squares += difference * difference;
  }
  return result;
}

/// Which pixels have a finite number in every band of values [bands, pixels].
template <class T>
void find_complete(std::span<T const> values, std::span<char> complete) {
  std::fill(complete.begin(), complete.end(), char{1});
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) complete[i % complete.size()] = 0;
}

}  // namespace detail

/// Over the pixels of a scene of any size that have a finite number in every band, read in windows of at most 64 x 256
/// pixels: read(window, values) fills values [bands, height, width]. Throws Error where there is no such pixel.
template <std::floating_point T, class Read>
BandStatistics band_statistics(Index bands, Index height, Index width, Read const& read) {
  require(bands > 0 && height > 0 && width > 0, "band statistics of ", bands, " bands of ", height, " x ", width,
          " pixels: expected at least one of each");
  constexpr Index rows = 64, columns = 256;
  std::vector<T> values;
  std::vector<char> complete;
  std::vector<detail::Moments> total(static_cast<std::size_t>(bands));
  for (Index top = 0; top < height; top += rows)
    for (Index left = 0; left < width; left += columns) {
      Window const window{top, left, std::min(rows, height - top), std::min(columns, width - left)};
      std::size_t const pixels = static_cast<std::size_t>(window.pixels());
      values.resize(total.size() * pixels);
      complete.resize(pixels);
      read(window, std::span(values));
      detail::find_complete(std::span<T const>(values), complete);
      for (std::size_t band = 0; band < total.size(); ++band)
        total[band].add(detail::moments(std::span<T const>(values).subspan(band * pixels, pixels), complete));
    }
  require(total[0].count > 0, "band statistics: no pixel of ", height, " x ", width, " has data in all of ", bands,
          " bands");
  BandStatistics statistics;
  for (detail::Moments const& band : total) {
    statistics.mean.push_back(band.mean);
    statistics.deviation.push_back(std::sqrt(band.squares / band.count));
  }
  return statistics;
}

}  // namespace dchag
