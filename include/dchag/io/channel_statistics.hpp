#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/io/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// Mean and standard deviation of one channel.
struct ChannelStatistics {
  std::string name;
  double mean = 0, deviation = 0;

  bool operator==(ChannelStatistics const&) const = default;
};

/// What is kept with a model that was trained on standardised channels, for instance in the metadata of its file.
inline Json statistics_json(std::vector<ChannelStatistics> const& statistics) {
  Json channels = Json::array();
  for (auto const& channel : statistics)
    channels.push_back({{"name", channel.name}, {"mean", channel.mean}, {"deviation", channel.deviation}});
  return channels;
}

/// Throws Error where a field is absent or of another kind, a name stands twice, or a deviation is negative.
inline std::vector<ChannelStatistics> statistics_from(Json const& json) {
  std::vector<ChannelStatistics> statistics;
  for (Json const& channel : json_array(json, "statistics")) {
    statistics.push_back({json_get<std::string>(channel, "name"), json_get<double>(channel, "mean"),
                          json_get<double>(channel, "deviation")});
    ChannelStatistics const& last = statistics.back();
    require(last.deviation >= 0, "statistics: the channel ", detail::quoted(last.name),
            " has deviation = ", last.deviation, ": expected zero or more");
    auto const same =
        std::count_if(statistics.begin(), statistics.end(), [&](auto const& s) { return s.name == last.name; });
    require(same == 1, "statistics: the channel ", detail::quoted(last.name), " stands twice");
  }
  return statistics;
}

/// Throws Error unless they are of that many channels, finite, no deviation negative.
inline void check_statistics(std::string_view source, std::vector<ChannelStatistics> const& statistics,
                             std::size_t channels) {
  require(statistics.size() == channels, source, ": statistics of ", statistics.size(), " channels, expected ",
          channels);
  for (auto const& [name, mean, deviation] : statistics)
    require(std::isfinite(mean) && std::isfinite(deviation) && deviation >= 0, source, ": the channel ",
            detail::quoted(name), " has mean ", mean, " and deviation ", deviation,
            ": expected finite numbers, the deviation not negative");
}

/// Of the channels of that name; throws Error, naming what there is, where one is not among them.
inline ChannelStatistics const& statistics_of(std::vector<ChannelStatistics> const& statistics, std::string_view name) {
  auto const found = std::find_if(statistics.begin(), statistics.end(), [&](auto const& s) { return s.name == name; });
  if (found != statistics.end()) return *found;
  std::string there;
  for (auto const& channel : statistics) there += (there.empty() ? "" : ", ") + channel.name;
  fail("statistics: there are none of the channel ", detail::quoted(name), ", only of: ", there);
}

/// Sums up what a channel's mean and deviation need, value by value; what is not a number is passed over.
class StatisticsSum {
 public:
  /// By West's update (1979), which does not lose digits where the mean is large.
  void add(double value, double weight = 1) {
    if (std::isnan(value) || weight == 0) return;
    weight_ += weight;
    double const difference = value - mean_;
    mean_ += difference * weight / weight_;
    squares_ += weight * difference * (value - mean_);
  }

  /// The rows [rows, columns] of a field, each row with a weight of its own.
  template <class T>
  void add_field(std::span<T const> field, std::span<double const> row_weights) {
    require(!row_weights.empty() && field.size() % row_weights.size() == 0, "statistics: a field of ", field.size(),
            " values has no ", row_weights.size(), " rows");
    std::size_t const columns = field.size() / row_weights.size();
    for (std::size_t i = 0; i < field.size(); ++i) add(static_cast<double>(field[i]), row_weights[i / columns]);
  }

  /// Throws Error where no value was added.
  ChannelStatistics result(std::string name) const {
    require(weight_ > 0, "statistics: the channel ", detail::quoted(name), " has no value that is not missing");
    return {std::move(name), mean_, std::sqrt(squares_ / weight_)};
  }

 private:
  double weight_ = 0, mean_ = 0, squares_ = 0;
};

}  // namespace dchag
