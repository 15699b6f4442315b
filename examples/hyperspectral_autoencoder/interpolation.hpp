#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <span>
#include <utility>
#include <vector>

namespace pines {

/// Which pixels of a square crop its visible patches show.
class Visible {
 public:
  Visible(int edge, int patch, std::span<dchag::Index const> patches)
      : edge_(edge), known_(static_cast<std::size_t>(edge * edge), false) {
    int const across = edge / patch;
    for (dchag::Index location : patches)
      for (int i = 0; i < patch * patch; ++i) {
        int const row = static_cast<int>(location) / across * patch + i / patch;
        known_[static_cast<std::size_t>(row * edge + static_cast<int>(location) % across * patch + i % patch)] = true;
      }
  }

  int edge() const { return edge_; }
  std::size_t size() const { return known_.size(); }
  bool operator[](std::size_t pixel) const { return known_[pixel]; }

 private:
  int edge_;
  std::vector<bool> known_;  // [edge, edge]
};

/// Linear interpolation in a Delaunay triangulation of the visible pixels' centres; a pixel outside of their convex
/// hull takes the value of the nearest visible one.
class LinearInterpolation {
 public:
  explicit LinearInterpolation(Visible const& visible) : edge_(visible.edge()) {
    int const far = 1 << 13;  // the corners of a triangle around everything
    points_ = {{-far, -far}, {2 * far, 0}, {0, 2 * far}};
    triangles_ = {{0, 1, 2}};
    for (std::size_t i = 0; i < visible.size(); ++i)
      if (visible[i]) insert({static_cast<int>(i) % edge_, static_cast<int>(i) / edge_});
    std::erase_if(triangles_, [](Triangle const& t) { return *std::min_element(t.begin(), t.end()) < 3; });
    for (std::size_t i = 0; i < visible.size(); ++i)
      if (!visible[i]) weights_.push_back(weigh(i));
  }

  /// Fills `to` from the visible pixels of `from`, both [edge, edge].
  void operator()(std::span<float const> from, std::span<float> to) const {
    std::copy(from.begin(), from.end(), to.begin());
    for (auto const& [pixel, sources, weights] : weights_)
      to[pixel] = static_cast<float>(weights[0] * from[sources[0]] + weights[1] * from[sources[1]] +
                                     weights[2] * from[sources[2]]);
  }

 private:
  struct Point {
    std::int64_t x, y;
  };
  using Triangle = std::array<std::size_t, 3>;  // of points, counter-clockwise
  struct Weights {
    std::size_t pixel;
    std::array<std::size_t, 3> sources;
    std::array<double, 3> weights;
  };

  static std::int64_t twice_area(Point a, Point b, Point c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
  }
  /// Whether a point lies within the circle through the corners of a triangle, exactly.
  bool in_circle(Triangle const& t, Point p) const {
    auto const from_p = [&](std::size_t corner) {
      return Point{points_[t[corner]].x - p.x, points_[t[corner]].y - p.y};
    };
    Point const a = from_p(0), b = from_p(1), c = from_p(2);
    auto const square = [](Point q) { return q.x * q.x + q.y * q.y; };
    return square(a) * (b.x * c.y - b.y * c.x) - square(b) * (a.x * c.y - a.y * c.x) +
               square(c) * (a.x * b.y - a.y * b.x) >
           0;
  }

  /// Bowyer and Watson's step: triangles whose circle holds the point give way to ones that have it as a corner.
  void insert(Point point) {
    std::vector<std::pair<std::size_t, std::size_t>> sides;
    std::erase_if(triangles_, [&](Triangle const& t) {
      if (!in_circle(t, point)) return false;
      for (std::size_t i = 0; i < 3; ++i) sides.emplace_back(t[i], t[(i + 1) % 3]);
      return true;
    });
    for (auto const& [a, b] : sides)  // those of one removed triangle alone
      if (std::find(sides.begin(), sides.end(), std::pair(b, a)) == sides.end())
        triangles_.push_back({a, b, points_.size()});
    points_.push_back(point);
  }

  std::size_t pixel_of(std::size_t point) const {
    return static_cast<std::size_t>(points_[point].y * edge_ + points_[point].x);
  }

  Weights weigh(std::size_t pixel) const {
    Point const p{static_cast<int>(pixel) % edge_, static_cast<int>(pixel) / edge_};
    for (auto const& [a, b, c] : triangles_) {
      Point const &pa = points_[a], &pb = points_[b], &pc = points_[c];
      std::int64_t const u = twice_area(p, pb, pc), v = twice_area(pa, p, pc), w = twice_area(pa, pb, p);
      if (u < 0 || v < 0 || w < 0) continue;
      double const all = static_cast<double>(u + v + w);
      return {pixel,
              {pixel_of(a), pixel_of(b), pixel_of(c)},
              {static_cast<double>(u) / all, static_cast<double>(v) / all, static_cast<double>(w) / all}};
    }
    auto const distance = [&](Point q) { return (q.x - p.x) * (q.x - p.x) + (q.y - p.y) * (q.y - p.y); };
    auto const nearest = std::min_element(points_.begin() + 3, points_.end(),
                                          [&](Point a, Point b) { return distance(a) < distance(b); });
    std::size_t const source = pixel_of(static_cast<std::size_t>(nearest - points_.begin()));
    return {pixel, {source, source, source}, {1, 0, 0}};
  }

  int edge_;
  std::vector<Point> points_;
  std::vector<Triangle> triangles_;
  std::vector<Weights> weights_;
};

/// Harmonic interpolation: every hidden pixel is the mean of its (two to four) neighbours, Laplace's equation on the
/// grid with nothing flowing through the edges; solved exactly, by a Cholesky factor of its banded matrix.
class HarmonicInterpolation {
 public:
  explicit HarmonicInterpolation(Visible const& visible)
      : visible_(visible),
        width_(static_cast<std::size_t>(visible.edge())),
        factor_(visible.size() * (width_ + 1), 0.0) {
    for (std::size_t i = 0; i < visible.size(); ++i) {
      at(i, i) = 1;
      if (visible[i]) continue;
      auto const around = neighbours(i);
      at(i, i) = static_cast<double>(around.size());
      for (std::size_t j : around)
        if (j < i && !visible[j]) at(i, j) = -1;
    }
    for (std::size_t i = 0; i < visible.size(); ++i)
      for (std::size_t j = i - std::min(i, width_); j <= i; ++j) {
        double sum = at(i, j);
        for (std::size_t k = i - std::min(i, width_); k < j; ++k) sum -= at(i, k) * at(j, k);
        at(i, j) = i == j ? std::sqrt(sum) : sum / at(j, j);
      }
  }

  /// As that of LinearInterpolation.
  void operator()(std::span<float const> from, std::span<float> to) const {
    std::vector<double> x(visible_.size(), 0.0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (visible_[i])
        x[i] = from[i];
      else
        for (std::size_t j : neighbours(i)) x[i] += visible_[j] ? from[j] : 0;
      for (std::size_t k = i - std::min(i, width_); k < i; ++k) x[i] -= at(i, k) * x[k];
      x[i] /= at(i, i);
    }
    for (std::size_t i = x.size(); i-- > 0;) {
      x[i] /= at(i, i);
      for (std::size_t k = i - std::min(i, width_); k < i; ++k) x[k] -= at(i, k) * x[i];
      to[i] = static_cast<float>(x[i]);
    }
  }

 private:
  std::vector<std::size_t> neighbours(std::size_t i) const {
    std::vector<std::size_t> around;
    if (i >= width_) around.push_back(i - width_);
    if (i % width_ > 0) around.push_back(i - 1);
    if (i % width_ + 1 < width_) around.push_back(i + 1);
    if (i + width_ < visible_.size()) around.push_back(i + width_);
    return around;
  }
  /// Row i holds columns i - edge to i.
  double& at(std::size_t i, std::size_t j) { return factor_[i * (width_ + 1) + width_ - (i - j)]; }
  double at(std::size_t i, std::size_t j) const { return factor_[i * (width_ + 1) + width_ - (i - j)]; }

  Visible visible_;
  std::size_t width_;
  std::vector<double> factor_;  // [pixels, edge + 1]
};

}  // namespace pines
