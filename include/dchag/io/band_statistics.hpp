#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/channel_statistics.hpp>
#include <dchag/io/window.hpp>
#include <span>
#include <vector>

namespace dchag {

namespace detail {

/// Which pixels have a finite number in every band of values [bands, pixels].
template <class T>
void find_complete(std::span<T const> values, std::span<char> complete) {
  std::fill(complete.begin(), complete.end(), char{1});
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) complete[i % complete.size()] = 0;
}

}  // namespace detail

/// Of the bands of a scene of any size, over the pixels that have a finite number in every band, read in windows of at
/// most 64 x 256 pixels: read(window, values) fills values [bands, height, width]. Throws Error where there is no such
/// pixel.
template <std::floating_point T, class Read>
std::vector<ChannelStatistics> band_statistics(std::vector<Channel> const& bands, Index height, Index width,
                                               Read const& read) {
  require(!bands.empty() && height > 0 && width > 0, "band statistics of ", bands.size(), " bands of ", height, " x ",
          width, " pixels: expected at least one of each");
  constexpr Index rows = 64, columns = 256;
  std::vector<T> values;
  std::vector<char> complete;
  std::vector<StatisticsSum> sums(bands.size());
  bool found = false;
  for (Index top = 0; top < height; top += rows)
    for (Index left = 0; left < width; left += columns) {
      Window const window{top, left, std::min(rows, height - top), std::min(columns, width - left)};
      std::size_t const pixels = static_cast<std::size_t>(window.pixels());
      values.resize(bands.size() * pixels);
      complete.resize(pixels);
      read(window, std::span(values));
      detail::find_complete(std::span<T const>(values), complete);
      for (std::size_t i = 0; i < values.size(); ++i)
        if (complete[i % pixels] != 0) sums[i / pixels].add(static_cast<double>(values[i])), found = true;
    }
  require(found, "band statistics: no pixel of ", height, " x ", width, " has data in all of ", bands.size(), " bands");
  std::vector<ChannelStatistics> statistics;
  for (std::size_t band = 0; band < bands.size(); ++band) statistics.push_back(sums[band].result(bands[band].name));
  return statistics;
}

}  // namespace dchag
