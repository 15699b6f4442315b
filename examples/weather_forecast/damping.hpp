#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <dchag/io/json.hpp>
#include <dchag/training/field_sums.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fields.hpp"

namespace sea {

inline std::string decimals(double value, int count) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", count, value);
  return buffer.data();
}

inline constexpr std::size_t leads = 6;  // months ahead: 1 to 6

enum class Part { train, validation, test };

/// The months that forecasts start from, counted from the first one, 1979-01, on: those of two parts do not share a
/// target month.
inline std::vector<std::size_t> starts_of(Part part) {
  auto const [first, last] = part == Part::train        ? std::pair<std::size_t, std::size_t>{5, 293}
                             : part == Part::validation ? std::pair<std::size_t, std::size_t>{299, 341}
                                                        : std::pair<std::size_t, std::size_t>{347, 413};
  std::vector<std::size_t> starts;
  for (std::size_t month = first; month <= last; ++month) starts.push_back(month);
  return starts;
}

/// What is forecast: the anomaly of a month less the mean of that month of the year over the training part, zero where
/// there is no sea; and how much of it is left on average after some months, at each cell: damped persistence. Both are
/// kept to four decimals.
class Departures {
 public:
  static constexpr std::size_t training_months = 300, training_starts = 294;

  /// From the training part of the fields.
  explicit Departures(Fields const& fields)
      : fields_(&fields), mean_(12 * Fields::cells), damping_(leads * Fields::cells) {
    require(fields.months().size() >= 420, "the anomalies have ", fields.months().size(), " months, expected 420");
    std::vector<double> sums(mean_.size()), counts(12);
    for (std::size_t month = 0; month < training_months; ++month) {
      ++counts[month % 12];
      for (std::size_t cell = 0; cell < Fields::cells; ++cell)
        sums[month % 12 * Fields::cells + cell] += fields.anomaly(month, cell);
    }
    for (std::size_t i = 0; i < sums.size(); ++i) mean_[i] = rounded(sums[i] / counts[i / Fields::cells]);
    for (std::size_t cell = 0; cell < Fields::cells; ++cell) {
      if (!fields.sea(cell)) continue;
      std::array<double, leads> products{};
      double squares = 0;
      for (std::size_t month = 0; month < training_starts; ++month) {
        squares += std::pow((*this)(month, cell), 2);
        for (std::size_t lead = 0; lead < leads; ++lead)
          products[lead] += (*this)(month, cell) * (*this)(month + lead + 1, cell);
      }
      for (std::size_t lead = 0; lead < leads; ++lead)
        damping_[lead * Fields::cells + cell] = rounded(squares > 0 ? products[lead] / squares : 0);
    }
  }

  /// What json() answered. Throws Error where it is not of this size.
  Departures(Fields const& fields, dchag::Json const& json)
      : fields_(&fields), mean_(numbers(json, "monthly_means", 12)), damping_(numbers(json, "damping", leads)) {}

  /// In ten-thousandths.
  dchag::Json json() const {
    auto const list = [](std::vector<double> const& values) {
      dchag::Json::array_t array;
      for (double const value : values) array.emplace_back(std::lround(value * 1e4));
      return array;
    };
    return {{"monthly_means", list(mean_)}, {"damping", list(damping_)}};
  }

  Fields const& fields() const { return *fields_; }

  double operator()(std::size_t month, std::size_t cell) const {
    return fields_->sea(cell) ? fields_->anomaly(month, cell) - mean_[month % 12 * Fields::cells + cell] : 0;
  }
  /// What is left after lead + 1 months.
  double damping(std::size_t lead, std::size_t cell) const { return damping_[lead * Fields::cells + cell]; }

 private:
  static double rounded(double value) { return static_cast<double>(std::lround(value * 1e4)) / 1e4; }

  static std::vector<double> numbers(dchag::Json const& json, std::string_view name, std::size_t fields) {
    std::vector<double> values;
    for (auto const& value : dchag::json_array(dchag::json_at(json, name), name))
      values.push_back(static_cast<double>(dchag::json_to<long>(value, name)) / 1e4);
    require(values.size() == fields * Fields::cells, "the model's ", name, " are ", values.size(),
            " numbers, expected ", fields * Fields::cells);
    return values;
  }

  Fields const* fields_;
  std::vector<double> mean_, damping_;  // [12, cells], [leads, cells]
};

/// How well forecasts of each lead do, K, over the cells of the sea weighted by the cosine of their latitude.
using Scores = std::array<dchag::FieldSums, leads>;

/// Over all leads alike.
inline dchag::FieldSums over_leads(Scores const& scores) { return dchag::total({scores.begin(), scores.end()}); }

/// Of forecasts from these months; forecast(i, lead, cell) is the departure forecast from the i-th of them.
template <class Forecast>
Scores scores_of(Departures const& departures, std::vector<std::size_t> const& starts, Forecast const& forecast) {
  Fields const& fields = departures.fields();
  Scores scores;
  for (std::size_t lead = 0; lead < leads; ++lead)
    for (std::size_t i = 0; i < starts.size(); ++i)
      for (std::size_t cell = 0; cell < Fields::cells; ++cell) {
        if (!fields.sea(cell)) continue;
        double const weight = std::cos(fields.grid().latitudes()[cell / Fields::columns] * std::acos(-1.0) / 180);
        double const said = forecast(i, lead, cell), seen = departures(starts[i] + lead + 1, cell);
        auto& sums = scores[lead];
        sums.weight += weight;
        sums.error += weight * (said - seen) * (said - seen);
        sums.predicted += weight * said * said;
        sums.observed += weight * seen * seen;
        sums.product += weight * said * seen;
      }
  return scores;
}

}  // namespace sea
