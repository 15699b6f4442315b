#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace dchag::detail {

/// One axis of an array in a file, and the entries of it that are read: all of them, whose places in the result are
/// `stride` elements apart, or those of a list.
struct SelectedAxis {
  std::size_t extent, stride;
  bool listed = false;
  std::vector<std::size_t> entries{};  // listed: ascending
  std::vector<std::size_t> places{};   // listed: where each of them goes, in elements

  /// The i-th of these entries goes to i * stride.
  static SelectedAxis of(std::size_t extent, std::vector<std::size_t> const& entries, std::size_t stride) {
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return entries[a] < entries[b]; });
    SelectedAxis axis{extent, stride, true};
    for (std::size_t const i : order) {
      axis.entries.push_back(entries[i]);
      axis.places.push_back(i * stride);
    }
    return axis;
  }

  std::size_t count() const { return listed ? entries.size() : extent; }
  std::size_t entry(std::size_t i) const { return listed ? entries[i] : i; }
  std::size_t place(std::size_t i) const { return listed ? places[i] : i * stride; }

  /// Whether every entry is read, once.
  bool whole() const {
    if (count() != extent) return false;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (entries[i] != i) return false;
    return true;
  }
};

/// Goes through the places of a selection in the order of the file; the axes are given from the fastest to the slowest,
/// and none is empty.
class Walk {
 public:
  explicit Walk(std::vector<SelectedAxis> const& axes) : axes_(axes), index_(axes.size(), 0) {
    for (auto const& axis : axes) place_ += axis.place(0);
  }

  std::size_t place() const { return place_; }

  void advance() {
    for (std::size_t d = 0; d < axes_.size(); ++d) {
      auto const& axis = axes_[d];
      std::size_t const before = index_[d], next = before + 1 < axis.count() ? before + 1 : 0;
      place_ += axis.place(next) - axis.place(before);
      index_[d] = next;
      if (next != 0) return;
    }
  }

 private:
  std::vector<SelectedAxis> const& axes_;
  std::vector<std::size_t> index_;
  std::size_t place_ = 0;
};

/// use(first, count) for the elements of a selection in the order of the file, what is contiguous in one piece. The
/// axes are as in a Walk.
template <class Use>
void for_each_run(std::vector<SelectedAxis> const& axes, Use const& use) {
  std::size_t inner = 1, divided = 0;
  while (divided < axes.size() && axes[divided].whole()) inner *= axes[divided++].extent;
  if (divided == axes.size()) return use(std::size_t{0}, inner);

  auto const& runs = axes[divided];
  std::vector<SelectedAxis> outer(axes.begin() + static_cast<std::ptrdiff_t>(divided) + 1, axes.end());
  std::size_t blocks = 1, stride = inner * runs.extent;
  for (auto& axis : outer) {  // places in the file now
    axis.stride = stride;
    for (std::size_t i = 0; i < axis.places.size(); ++i) axis.places[i] = axis.entries[i] * stride;
    stride *= axis.extent;
    blocks *= axis.count();
  }
  std::size_t first = 0, count = 0;
  Walk block(outer);
  for (std::size_t b = 0; b < blocks; ++b, block.advance()) {
    for (std::size_t i = 0; i < runs.count(); ++i) {
      std::size_t const next = block.place() + runs.entry(i) * inner;
      if (count > 0 && next != first + count) use(first, std::exchange(count, 0));
      if (count == 0) first = next;
      count += inner;
    }
  }
  use(first, count);
}

}  // namespace dchag::detail
