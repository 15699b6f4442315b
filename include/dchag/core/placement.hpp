#pragma once

#include <algorithm>
#include <dchag/core/types.hpp>
#include <utility>
#include <vector>

namespace dchag {

/// How the model ranks of a replica hold a parameter.
enum class Sharing {
  copied,  // every rank holds it, and computes the whole gradient
  summed,  // every rank holds it, and computes a part of the gradient: the ranks' sum is the gradient
  divided  // every rank holds a part of it, and computes the gradient of that part
};

/// What a rank holds of a tensor that is divided: `count` entries from `begin` of one of its axes, for each range.
struct Range {
  Index begin, count;
  bool operator==(Range const&) const = default;
};

/// Where a parameter stands. The tensor in memory is seen as [outer, extent, inner] and divided along the middle axis;
/// what is held stands in the order of the ranges.
struct Placement {
  Sharing sharing = Sharing::copied;
  Index outer = 1, extent = 1, inner = 1;  // read where divided
  std::vector<Range> ranges{};

  /// The entries of the ranges, of a tensor [outer, extent, inner].
  static Placement divided(Index outer, Index extent, Index inner, std::vector<Range> ranges) {
    return {Sharing::divided, outer, extent, inner, std::move(ranges)};
  }
  static Placement summed() { return {Sharing::summed}; }

  /// Entries of the middle axis that are held.
  Index held() const {
    Index count = 0;
    for (Range const& range : ranges) count += range.count;
    return count;
  }

  /// Where the held elements first .. first + count stand in the whole tensor: run(whole, held, length) for the longest
  /// runs of elements that follow each other there as here, `whole` and `held` being the first one's number.
  template <class Run>
  void runs(Index first, Index count, Run const& run) const {
    if (count == 0) return;
    if (sharing != Sharing::divided) return run(first, first, count);
    Index const row = held() * inner, end = first + count;
    Index run_whole = 0, run_held = first, length = 0;
    for (Index out = first / row; out * row < end; ++out) {
      Index at = out * row;
      for (Range const& range : ranges) {
        Index const from = std::max(at, first), to = std::min(at + range.count * inner, end);
        Index const whole = (out * extent + range.begin) * inner + from - at;
        at += range.count * inner;
        if (from >= to) continue;
        if (length > 0 && whole != run_whole + length)
          run(run_whole, std::exchange(run_held, from), std::exchange(length, 0));
        if (length == 0) run_whole = whole;
        length += to - from;
      }
    }
    run(run_whole, run_held, length);
  }
};

}  // namespace dchag
