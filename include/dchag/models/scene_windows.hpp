#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/window.hpp>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

// How windows of a model's size cover a scene.
namespace dchag::detail {

/// A window begins at pixel `start`; its answers are used from `begin` to `end`, which are multiples of the patch.
struct AxisWindow {
  Index start, begin, end;
};

/// Windows over `length` pixels, continued to a multiple of the patch and to one window at least: neighbours overlap by
/// 2 margin pixels, the last two by more where need be, and share what they have in common half and half.
inline std::vector<AxisWindow> axis_windows(Index length, Index window, Index patch, Index margin) {
  Index const last = std::max(window, round_up(length, patch)) - window, stride = window - 2 * margin;
  std::vector<AxisWindow> windows{{0, 0, 0}};
  while (windows.back().start < last) {
    Index const start = std::min(windows.back().start + stride, last);
    Index const overlap = windows.back().start + window - start;
    windows.back().end = start + overlap / patch / 2 * patch;
    windows.push_back({start, windows.back().end, 0});
  }
  windows.back().end = round_up(length, patch);
  return windows;
}

/// The pixel of `count`, mirrored at the end again and again, that stands at a place: 0 1 2 2 1 0 0 1 ...
inline Index mirrored(Index place, Index count) {
  Index const turn = place % (2 * count);
  return turn < count ? turn : 2 * count - 1 - turn;
}

struct SceneWindow {
  AxisWindow rows, columns;
  Index number;  // among the windows of the scene

  /// Its pixels in a scene of that size.
  Window inside(Index height, Index width, Index window_height, Index window_width) const {
    return {rows.start, columns.start, std::min(window_height, height - rows.start),
            std::min(window_width, width - columns.start)};
  }
  /// The pixels of a scene of that size that it answers.
  Window answered(Index height, Index width) const {
    return {rows.begin, columns.begin, std::min(rows.end, height) - rows.begin,
            std::min(columns.end, width) - columns.begin};
  }
  /// The same in patches.
  Window answered_patches(Index patch) const {
    return {rows.begin / patch, columns.begin / patch, (rows.end - rows.begin) / patch,
            (columns.end - columns.begin) / patch};
  }
};

/// Which locations of a window are hidden, and when: in each pass the next `hidden` of them in a random order, round
/// and round, so that in passes() each is hidden at least once and visible at least once.
class HidingOrder {
 public:
  HidingOrder(std::uint64_t seed, Index window, Index locations, Index hidden)
      : order_(static_cast<std::size_t>(locations)), hidden_(hidden) {
    std::uint64_t const key = random_bits(random_key(seed, "hidden"), static_cast<std::uint64_t>(window));
    std::iota(order_.begin(), order_.end(), Index{0});
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_bits(key, i) % i]);
  }

  Index passes() const { return ceil_div(locations(), std::min(hidden_, locations() - hidden_)); }

  /// The j-th location hidden in a pass, j < hidden; those from there on are visible.
  Index at(Index pass, Index j) const { return order_[static_cast<std::size_t>((pass * hidden_ + j) % locations())]; }

  void visible(Index pass, std::span<Index> keep) const {
    for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = at(pass, hidden_ + static_cast<Index>(i));
    std::sort(keep.begin(), keep.end());
  }

 private:
  Index locations() const { return static_cast<Index>(order_.size()); }

  std::vector<Index> order_;
  Index hidden_;
};

}  // namespace dchag::detail
