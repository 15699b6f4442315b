#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <dchag/io/picture.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "damping.hpp"

namespace sea {

/// Blue over white to red for -1 to 1.
inline dchag::Colour cold_to_warm(double value) {
  constexpr std::array<dchag::Colour, 7> anchors{
      {{5, 48, 97}, {67, 147, 195}, {187, 218, 236}, {250, 250, 250}, {253, 205, 178}, {214, 96, 77}, {103, 0, 31}}};
  double const place = (std::clamp(value, -1.0, 1.0) + 1) / 2 * (anchors.size() - 1);
  std::size_t const left = std::min(static_cast<std::size_t>(place), anchors.size() - 2);
  return dchag::mix(anchors[left], anchors[left + 1], place - static_cast<double>(left));
}

/// The month that lies so many months behind another, YYYY-MM.
inline std::string month_text(Fields const& fields, std::size_t month) {
  dchag::Date const first = fields.months().front();
  int const count = first.month - 1 + static_cast<int>(month);
  return dchag::Date{first.year + count / 12, count % 12 + 1, 1}.text().substr(0, 7);
}

/// One forecast [leads, cells] from a month: what was observed, what was forecast and the error of that, one and six
/// months ahead, with a colour bar. Land is dark, sea without forecasts light.
class Maps {
 public:
  Maps(Departures const& departures, std::vector<float> const& forecast, std::size_t start)
      : departures_(departures), fields_(departures.fields()), forecast_(forecast), start_(start) {
    for (std::size_t row = 0; row < Fields::rows; ++row)
      if (std::abs(fields_.grid().latitudes()[row]) < 64) rows_.push_back(row);
  }

  void draw(std::filesystem::path const& path) const {
    int const wide = zoom * static_cast<int>(Fields::columns), high = zoom * static_cast<int>(rows_.size());
    int const left = 74, top = 84, width = left + 3 * (wide + gap) + 90, down = high + 30;
    dchag::Picture picture(width, top + 2 * down + 34);
    picture.text(
        left, 14,
        "Sea-surface temperature: departure from the mean of the month, forecast from " + month_text(fields_, start_),
        dchag::black, 2);
    int row = 0;
    for (std::size_t const lead : {std::size_t{0}, leads - 1}) {
      int const y = top + row++ * down;
      bool const known = start_ + lead + 1 < fields_.months().size();
      auto const observed = [&](std::size_t cell) { return departures_(start_ + lead + 1, cell); };
      auto const forecast = [&](std::size_t cell) { return forecast_[lead * Fields::cells + cell]; };
      picture.text_upwards(14, y + high / 2 + 60, lead == 0 ? "one month" : "six months", dchag::black, 2);
      picture.text_upwards(40, y + high / 2 + 42, month_text(fields_, start_ + lead + 1), dchag::black, 2);
      auto const place = [&](int column) { return left + column * (wide + gap); };
      panel(picture, place(1), y, forecast);
      if (known) {
        panel(picture, place(0), y, observed);
        panel(picture, place(2), y, [&](std::size_t cell) { return forecast(cell) - observed(cell); });
      } else {
        for (int const column : {0, 2})
          picture.text(place(column) + wide / 2 - 96, y + high / 2, "not in the file", dchag::grey, 2);
      }
    }
    for (int column = 0; column < 3; ++column)
      picture.text(left + column * (wide + gap), top - 26,
                   std::array{"Observed", "Forecast", "Error: forecast - observed"}[static_cast<std::size_t>(column)],
                   dchag::black, 2);
    bar(picture, left + 3 * (wide + gap), top, down + high);
    picture.text(left, top + 2 * down,
                 "Land dark; light: sea with ice in some month, or beyond 60 degrees, without forecasts.", dchag::black,
                 2);
    dchag::write_png(path, picture);
  }

 private:
  static constexpr int zoom = 5, gap = 22;
  static constexpr double range = 2;  // K at the ends of the colours

  template <class Value>
  void panel(dchag::Picture& picture, int left, int top, Value const& value) const {
    for (std::size_t row = 0; row < rows_.size(); ++row)
      for (std::size_t column = 0; column < Fields::columns; ++column) {
        std::size_t const cell = rows_[row] * Fields::columns + column;
        constexpr dchag::Colour dark{90, 90, 90}, light{205, 205, 205};
        dchag::Colour const colour = fields_.sea(cell)    ? cold_to_warm(value(cell) / range)
                                     : fields_.land(cell) ? dark
                                                          : light;
        picture.fill(left + zoom * static_cast<int>(column), top + zoom * static_cast<int>(row), zoom, zoom, colour);
      }
  }

  static void bar(dchag::Picture& picture, int left, int top, int high) {
    for (int y = 0; y < high; ++y)
      picture.fill(left, top + y, 16, 1, cold_to_warm(1 - 2 * static_cast<double>(y) / (high - 1)));
    for (int tick = 0; tick <= 4; ++tick)
      picture.text(left + 24, top + (high - 14) * tick / 4, decimals(range - tick * range / 2, 0) + " K", dchag::black,
                   2);
  }

  Departures const& departures_;
  Fields const& fields_;
  std::vector<float> const& forecast_;
  std::size_t start_;
  std::vector<std::size_t> rows_;  // that are shown
};

}  // namespace sea
