#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <dchag/core/error.hpp>
#include <dchag/io/picture.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// One line of a plot, through its points as they are given. It is interrupted where a coordinate is not finite.
struct Curve {
  std::string name;  // in the legend; none where empty
  std::vector<double> x;
  std::vector<double> y;
  Colour colour = black;
  bool dashed = false;
  double thickness = 2;
};

/// Colours that are told apart on white, also by most colour-blind readers; index counts round.
inline Colour curve_colour(std::size_t index) {
  constexpr std::array<Colour, 6> colours{
      {{0, 98, 178}, {204, 76, 2}, {0, 140, 100}, {160, 60, 150}, {150, 110, 0}, {70, 70, 70}}};
  return colours[index % colours.size()];
}

namespace detail {

/// Round numbers from low to high, about as many as wanted, and the decimals that tell them apart.
struct Ticks {
  std::vector<double> values;
  int decimals = 0;

  Ticks(double low, double high, double wanted) {
    double const raw = (high - low) / std::max(wanted, 1.0), power = std::pow(10.0, std::floor(std::log10(raw)));
    double const digit = raw / power;
    double const step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
    decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
    double const first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
    for (double i = 0; i <= std::min(last - first, 100.0); ++i) values.push_back((first + i) * step);
  }

  std::string text(double value) const {
    std::array<char, 48> out{};
    bool const plain = decimals <= 6 && std::abs(value) < 1e7;
    std::snprintf(out.data(), out.size(), plain ? "%.*f" : "%.*g", plain ? decimals : 4, value == 0 ? 0.0 : value);
    return out.data();
  }
};

/// A tick: where it stands on the axis, and what is written there.
struct Tick {
  double place = 0;
  std::string text;
};

/// Powers of ten from 10^low to 10^high, every so many that they are not more than wanted; with their doubles and fives
/// where there is room.
inline std::vector<Tick> logarithmic_ticks(double low, double high, double wanted) {
  double const first = std::floor(low + 1e-9), last = std::floor(high + 1e-9), decades = std::max(high - low, 1e-9);
  bool const between = 2 * decades <= std::max(wanted, 1.0);
  double const stride = std::max(1.0, std::ceil(decades / std::max(wanted, 1.0)));
  std::vector<Tick> ticks;
  for (double decade = first; decade <= last && ticks.size() < 100; decade += stride) {
    for (double const digit : {1.0, 2.0, 5.0}) {
      double const place = decade + std::log10(digit);
      if ((digit > 1 && !between) || place < low - 1e-9 || place > high + 1e-9) continue;
      std::array<char, 48> text{};
      std::snprintf(text.data(), text.size(), "%.6g", digit * std::pow(10.0, decade));
      ticks.push_back({place, text.data()});
    }
  }
  return ticks;
}

struct PlotRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }

  /// The range with a margin on either side, as a part of it; 0 to 1 where nothing was included.
  PlotRange padded(double margin) const {
    if (low > high) return {0, 1};
    double const least = std::max(std::abs(low), std::abs(high)) * 1e-6;
    double const pad = high - low > least ? (high - low) * margin : std::max(std::abs(low) * 0.05, 0.5);
    require(std::isfinite(high - low + 2 * pad), "plot: values from ", low, " to ", high, " are too far apart to draw");
    return {low - pad, high + pad};
  }
};

}  // namespace detail

/// How values stand along an axis. On a logarithmic one those that are not positive have no place: they interrupt a
/// curve.
enum class Scale { linear, logarithmic };

/// Lines over a common x axis, with ticks, a grid, labels and a legend above the axes.
class Plot {
 public:
  Plot(std::string title, std::string x_label, std::string y_label)
      : title_(std::move(title)), x_label_(std::move(x_label)), y_label_(std::move(y_label)) {}

  /// Both axes are linear unless this says otherwise.
  Plot& scales(Scale x, Scale y) {
    x_scale_ = x;
    y_scale_ = y;
    return *this;
  }

  /// Throws Error where x and y differ in length.
  void add(Curve curve) {
    require(curve.x.size() == curve.y.size(), "plot: curve ", curve.name, " has ", curve.x.size(), " x, but ",
            curve.y.size(), " y");
    curves_.push_back(std::move(curve));
  }

  /// The plot as a picture; text_scale is the size of a dot of its letters in pixels.
  Picture draw(int width, int height, int text_scale = 2) const {
    Picture picture(width, height);
    detail::PlotRange x_data, y_data;
    for (Curve const& curve : curves_) {
      for (double const x : curve.x) x_data.include(place(x_scale_, x));
      for (double const y : curve.y) y_data.include(place(y_scale_, y));
    }
    Axes axes;
    axes.scale = text_scale;
    axes.x = x_data.padded(0.02);
    axes.y = y_data.padded(0.06);
    int const em = 12 * text_scale;
    auto const y_ticks = ticks(y_scale_, axes.y, height / (4.0 * em));
    int label_width = 0;
    for (detail::Tick const& tick : y_ticks) {
      label_width = std::max(label_width, Picture::text_width(tick.text, text_scale));
    }
    axes.left = em + (y_label_.empty() ? 0 : em) + label_width;
    axes.right = width - em;
    axes.bottom = height - em * (x_label_.empty() ? 2 : 3);
    auto const x_ticks = ticks(x_scale_, axes.x, (axes.right - axes.left) / (6.0 * em));
    int const legend_top = title_.empty() ? em / 2 : 2 * em;
    axes.top = draw_legend(picture, axes, legend_top);
    if (axes.left >= axes.right || axes.top >= axes.bottom) return picture;  // too small for more than its labels

    draw_axes(picture, axes, x_ticks, y_ticks);
    draw_labels(picture, axes);
    for (Curve const& curve : curves_) draw_curve(picture, axes, curve);
    return picture;
  }

 private:
  struct Axes {
    detail::PlotRange x, y;  // what is shown
    int left = 0, right = 0, top = 0, bottom = 0, scale = 1;

    double column(double value) const { return left + (value - x.low) / (x.high - x.low) * (right - left); }
    double row(double value) const { return bottom - (value - y.low) / (y.high - y.low) * (bottom - top); }
  };

  static double place(Scale scale, double value) {
    if (scale == Scale::linear) return value;
    return value > 0 ? std::log10(value) : std::numeric_limits<double>::quiet_NaN();
  }

  static std::vector<detail::Tick> ticks(Scale scale, detail::PlotRange const& range, double wanted) {
    if (scale == Scale::logarithmic) return detail::logarithmic_ticks(range.low, range.high, wanted);
    detail::Ticks const round(range.low, range.high, wanted);
    std::vector<detail::Tick> all;
    for (double const value : round.values) all.push_back({value, round.text(value)});
    return all;
  }

  static void draw_axes(Picture& picture, Axes const& axes, std::vector<detail::Tick> const& x_ticks,
                        std::vector<detail::Tick> const& y_ticks) {
    constexpr Colour grid{225, 225, 225};
    int const gap = 5 * axes.scale;
    for (auto const& [place, text] : x_ticks) {
      int const x = static_cast<int>(std::lround(axes.column(place)));
      picture.fill(x, axes.top, 1, axes.bottom - axes.top, grid);
      picture.text(x - Picture::text_width(text, axes.scale) / 2, axes.bottom + gap, text, black, axes.scale);
    }
    for (auto const& [place, text] : y_ticks) {
      int const y = static_cast<int>(std::lround(axes.row(place)));
      int const x = axes.left - gap - Picture::text_width(text, axes.scale);
      picture.fill(axes.left, y, axes.right - axes.left, 1, grid);
      picture.text(x, y - Picture::text_height(axes.scale) / 2, text, black, axes.scale);
    }
    picture.fill(axes.left, axes.top, 1, axes.bottom - axes.top, black);
    picture.fill(axes.left, axes.bottom, axes.right - axes.left + 1, 1, black);
  }

  void draw_labels(Picture& picture, Axes const& axes) const {
    int const scale = axes.scale, em = 12 * scale;
    int const middle = (axes.left + axes.right) / 2, centre = (axes.top + axes.bottom) / 2;
    picture.text(middle - Picture::text_width(title_, scale) / 2, em / 2, title_, black, scale);
    int const x_top = picture.height() - em - em / 4;
    picture.text(middle - Picture::text_width(x_label_, scale) / 2, x_top, x_label_, black, scale);
    picture.text_upwards(em / 4, centre + Picture::text_width(y_label_, scale) / 2, y_label_, black, scale);
  }

  /// Sets the names in rows from the top down; returns where the axes can begin.
  int draw_legend(Picture& picture, Axes const& axes, int top) const {
    int const em = 12 * axes.scale, sample = 2 * em;
    int left = axes.left, bottom = top;
    for (Curve const& curve : curves_) {
      if (curve.name.empty()) continue;
      int const needed = sample + em / 2 + Picture::text_width(curve.name, axes.scale);
      if (left > axes.left && left + needed > axes.right) {
        left = axes.left;
        top += em;
      }
      double const middle = top + Picture::text_height(axes.scale) / 2.0;
      draw_strokes(picture, {{left, middle}, {left + sample, middle}}, curve);
      picture.text(left + sample + em / 2, top, curve.name, black, axes.scale);
      left += needed + em;
      bottom = top + em;
    }
    return bottom + em / 4;
  }

  using Point = std::pair<double, double>;  // column, row

  void draw_curve(Picture& picture, Axes const& axes, Curve const& curve) const {
    std::vector<Point> points;
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      points.emplace_back(axes.column(place(x_scale_, curve.x[i])), axes.row(place(y_scale_, curve.y[i])));
    }
    draw_strokes(picture, points, curve);
  }

  /// Draws a line through points, in dashes that go on around its corners where the curve asks for them.
  static void draw_strokes(Picture& picture, std::vector<Point> const& points, Curve const& curve) {
    double const dash = 4 * curve.thickness, gap = 2.5 * curve.thickness, period = dash + gap;
    double travelled = 0;
    for (std::size_t i = 1; i < points.size(); ++i) {
      Point const start = points[i - 1];
      double const dx = points[i].first - start.first, dy = points[i].second - start.second;
      double const length = std::hypot(dx, dy);
      if (!std::isfinite(length) || length == 0) continue;
      auto const stroke = [&](double from, double to) {
        auto const [a, b] = std::pair(from / length, to / length);
        picture.line(start.first + a * dx, start.second + a * dy, start.first + b * dx, start.second + b * dy,
                     curve.colour, curve.thickness);
      };
      if (!curve.dashed) {
        stroke(0, length);
        continue;
      }
      for (double from = -std::fmod(travelled, period); from < length; from += period) {
        double const begin = std::max(from, 0.0), end = std::min(from + dash, length);
        if (begin < end) stroke(begin, end);
      }
      travelled += length;
    }
  }

  std::string title_;
  std::string x_label_;
  std::string y_label_;
  Scale x_scale_ = Scale::linear, y_scale_ = Scale::linear;
  std::vector<Curve> curves_;
};

}  // namespace dchag
