#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <dchag/core/channel.hpp>
#include <dchag/io/channel_statistics.hpp>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "damping.hpp"

namespace sea {

inline constexpr std::size_t lags = 6;  // months that a forecast knows: the one it starts from and five before

/// The channels of a model's images, standardised: departures of the last months, climatologies of the month that the
/// forecast starts from, what does not change, and where and when it is. What is missing stands at the mean.
class Inputs {
 public:
  explicit Inputs(Departures const& departures) : departures_(&departures) {
    for (std::size_t lag = 0; lag < lags; ++lag) add("ssta_lag" + std::to_string(lag), "K", departure_planes(), lag);
    Fields const& fields = departures.fields();
    for (auto const& climate : fields.monthly()) add(climate.name, climate.unit, climate.values);
    for (auto const& climate : fields.constant()) add(climate.name, climate.unit, climate.values);
    double const degree = std::acos(-1.0) / 180;
    auto const latitude = [&](std::size_t i) {
      return fields.grid().latitudes()[i % Fields::cells / Fields::columns] * degree;
    };
    auto const month = [&](std::size_t i) { return 30 * degree * static_cast<double>(i / Fields::cells); };
    add("sea", "1", planes(1, [&](std::size_t i) { return fields.sea(i) ? 1 : 0; }));
    add("sin_latitude", "1", planes(1, [&](std::size_t i) { return std::sin(latitude(i)); }));
    add("cos_latitude", "1", planes(1, [&](std::size_t i) { return std::cos(latitude(i)); }));
    add("sin_month", "1", planes(12, [&](std::size_t i) { return std::sin(month(i)); }));
    add("cos_month", "1", planes(12, [&](std::size_t i) { return std::cos(month(i)); }));
    std::vector<dchag::ChannelStatistics> statistics;
    for (auto const& source : sources_) statistics.push_back(measure(source));
    use(std::move(statistics));
  }

  std::vector<dchag::Channel> const& channels() const { return channels_; }
  std::vector<dchag::ChannelStatistics> const& statistics() const { return statistics_; }

  /// Puts the channels in another order, of which it is given the present places. Call use() afterwards.
  void reorder(std::vector<dchag::Index> const& places) {
    std::vector<dchag::Channel> channels;
    std::vector<Source> sources;
    for (dchag::Index const place : places) {
      channels.push_back(channels_[static_cast<std::size_t>(place)]);
      sources.push_back(sources_[static_cast<std::size_t>(place)]);
    }
    channels_ = std::move(channels);
    sources_ = std::move(sources);
  }

  /// Standardises by these instead of the training part's, matched by the names of the channels.
  void use(std::vector<dchag::ChannelStatistics> statistics) {
    statistics_ = std::move(statistics);
    scaled_.clear();
    for (std::size_t c = 0; c < sources_.size(); ++c) {
      auto const& of = dchag::statistics_of(statistics_, channels_[c].name);
      scaled_.push_back(sources_[c].values);
      for (float& value : scaled_.back())
        value = std::isnan(value) || of.deviation == 0 ? 0.0f : static_cast<float>((value - of.mean) / of.deviation);
    }
  }

  /// One channel for a forecast from a month: [cells].
  std::span<float const> plane(std::size_t channel, std::size_t start) const {
    Source const& source = sources_[channel];
    std::size_t const count = source.values.size() / Fields::cells;
    std::size_t const plane = count == 1 ? 0 : count == 12 ? start % 12 : start - source.lag;
    return std::span(scaled_[channel]).subspan(plane * Fields::cells, Fields::cells);
  }

 private:
  /// Planes [cells]: one for always, one for each month of the year, or one for each month of the fields.
  struct Source {
    std::vector<float> values;
    std::size_t lag;
  };

  void add(std::string name, std::string unit, std::vector<float> values, std::size_t lag = 0) {
    channels_.push_back({std::move(name), std::move(unit)});
    sources_.push_back({std::move(values), lag});
  }

  template <class Value>
  static std::vector<float> planes(std::size_t count, Value const& value) {
    std::vector<float> values(count * Fields::cells);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(value(i));
    return values;
  }
  std::vector<float> departure_planes() const {
    return planes(departures_->fields().months().size(), [&](std::size_t i) {
      bool const sea = departures_->fields().sea(i % Fields::cells);
      return sea ? (*departures_)(i / Fields::cells, i % Fields::cells) : std::numeric_limits<double>::quiet_NaN();
    });
  }

  dchag::ChannelStatistics measure(Source const& source) const {
    std::size_t const used = std::min(source.values.size() / Fields::cells, Departures::training_months);
    dchag::StatisticsSum sum;
    for (std::size_t plane = 0; plane < used; ++plane)
      sum.add_field(std::span(source.values).subspan(plane * Fields::cells, Fields::cells),
                    departures_->fields().grid().weights());
    return sum.result(channels_[static_cast<std::size_t>(&source - sources_.data())].name);
  }

  Departures const* departures_;
  std::vector<dchag::Channel> channels_;
  std::vector<Source> sources_;
  std::vector<dchag::ChannelStatistics> statistics_;
  std::vector<std::vector<float>> scaled_;
};

}  // namespace sea
