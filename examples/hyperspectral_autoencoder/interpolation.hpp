#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace pines {

/// One band of a crop [edge, edge] with only some pixels known.
struct Sparse {
  int edge;
  std::vector<bool> known;  // [edge, edge]

  std::size_t at(int row, int column) const { return static_cast<std::size_t>(row * edge + column); }
};

/// Linear interpolation along rows and columns: for an unknown pixel, that between the nearest known pixels of its row
/// (the nearest alone where there is one on one side only), the same for its column, and the mean of the two weighted
/// by one over the distance to the nearest known pixel. A pixel with none in its row and column takes the mean of all
/// known ones.
inline void interpolate_linearly(Sparse const& sparse, std::span<float const> from, std::span<float> to) {
  int const edge = sparse.edge;
  double mean = 0, count = 0;
  for (std::size_t i = 0; i < from.size(); ++i)
    if (sparse.known[i]) mean += from[i], ++count;
  for (int r = 0; r < edge; ++r)
    for (int c = 0; c < edge; ++c) {
      if (sparse.known[sparse.at(r, c)]) {
        to[sparse.at(r, c)] = from[sparse.at(r, c)];
        continue;
      }
      double sum = 0, weights = 0;
      for (bool along_row : {true, false}) {
        auto const place = [&](int k) { return along_row ? sparse.at(r, k) : sparse.at(k, c); };
        int const self = along_row ? c : r;
        int before = self, after = self;
        while (before >= 0 && !sparse.known[place(before)]) --before;
        while (after < edge && !sparse.known[place(after)]) ++after;
        if (before < 0 && after >= edge) continue;
        bool const one_side = before < 0 || after >= edge;
        double const low = before < 0 ? 0 : from[place(before)], high = after >= edge ? 0 : from[place(after)];
        double const value = before < 0      ? high
                             : after >= edge ? low
                                             : low + (high - low) * (self - before) / (after - before);
        int const distance =
            one_side ? (before < 0 ? after - self : self - before) : std::min(self - before, after - self);
        sum += value / distance;
        weights += 1.0 / distance;
      }
      to[sparse.at(r, c)] = static_cast<float>(weights > 0 ? sum / weights : mean / count);
    }
}

/// Harmonic interpolation: every unknown pixel is the mean of its neighbours (Laplace's equation on the grid, nothing
/// flows through the edges), by successive over-relaxation from the linear interpolation.
inline void interpolate_harmonically(Sparse const& sparse, std::span<float const> from, std::span<float> to) {
  interpolate_linearly(sparse, from, to);
  int const edge = sparse.edge;
  for (int sweep = 0; sweep < 120; ++sweep)
    for (int r = 0; r < edge; ++r)
      for (int c = 0; c < edge; ++c) {
        if (sparse.known[sparse.at(r, c)]) continue;
        float sum = 0, count = 0;
        if (r > 0) sum += to[sparse.at(r - 1, c)], ++count;
        if (r + 1 < edge) sum += to[sparse.at(r + 1, c)], ++count;
        if (c > 0) sum += to[sparse.at(r, c - 1)], ++count;
        if (c + 1 < edge) sum += to[sparse.at(r, c + 1)], ++count;
        float& value = to[sparse.at(r, c)];
        value += 1.7f * (sum / count - value);
      }
}

}  // namespace pines
