#pragma once

#include <algorithm>
#include <atomic>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>
#include <string>
#include <type_traits>

// What every loop of the library is started by. A kernel of Kokkos takes a compiler a tenth of a second and more, and a
// model has about eighty loops: on a host one kernel serves them all, whose threads call the loop's body for their
// share of the indices.
namespace dchag {

namespace detail {

/// body(begin, end) for the share of a thread.
struct HostShares {
  Index count, shares;
  void const* body;
  void (*call)(void const* body, Index begin, Index end);

  void operator()(Index share) const { call(body, count * share / shares, count * (share + 1) / shares); }
};

/// The sum of body(begin, end) over the shares.
template <class T>
struct HostSums {
  Index count, shares;
  void const* body;
  T (*call)(void const* body, Index begin, Index end);

  void operator()(Index share, T& sum) const {
    sum += call(body, count * share / shares, count * (share + 1) / shares);
  }
};

template <class Space>
Kokkos::RangePolicy<Space, Kokkos::IndexType<Index>> range_of(Space const& space, Index count) {
  return {space, 0, count};
}

template <class Space>
Index host_shares(Space const& space, Index count) {
  return std::min(count, static_cast<Index>(space.concurrency()));
}

/// body(begin, end) for equal shares of [0, count), one for each thread of a host.
template <class Space, class Body>
void for_shares(Space const& space, std::string const& label, Index count, Body const& body) {
  Index const shares = host_shares(space, count);
  Kokkos::parallel_for(label, range_of(space, shares),
                       HostShares{count, shares, &body, [](void const* each, Index begin, Index end) {
                                    (*static_cast<Body const*>(each))(begin, end);
                                  }});
}

}  // namespace detail

/// Pieces of a host's loop that threads take one after the other: the thread of a slower core takes fewer of them.
class Claims {
 public:
  explicit Claims(Index count) : count_(count) {}

  Index count() const { return count_; }
  /// Whether there was a piece left, which is the caller's now.
  bool take(Index& piece) { return (piece = next_.fetch_add(1, std::memory_order_relaxed)) < count_; }

 private:
  Index count_;
  std::atomic<Index> next_{0};
};

/// body(i) for i in [0, count).
template <class Space, class Body>
void for_each(Space const& space, std::string const& label, Index count, Body const& body) {
  if constexpr (on_host<Space>)
    detail::for_shares(space, label, count, [&body](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) body(i);
    });
  else
    Kokkos::parallel_for(label, detail::range_of(space, count), body);
}

/// The sum of what body(i, sum&) adds for i in [0, count). Waits for the device.
template <class T, class Space, class Body>
T sum_each(Space const& space, std::string const& label, Index count, Body const& body) {
  T total{};
  if constexpr (on_host<Space>) {
    Index const shares = detail::host_shares(space, count);
    Kokkos::parallel_reduce(label, detail::range_of(space, shares),
                            detail::HostSums<T>{count, shares, &body,
                                                [](void const* each, Index begin, Index end) {
                                                  T sum{};
                                                  for (Index i = begin; i < end; ++i)
                                                    (*static_cast<Body const*>(each))(i, sum);
                                                  return sum;
                                                }},
                            total);
  } else {
    Kokkos::parallel_reduce(label, detail::range_of(space, count), body, total);
  }
  return total;
}

/// Sets all elements of a contiguous view.
template <class Space, class To>
void fill(Space const& space, To const& to, typename To::value_type value) {
  if constexpr (on_host<Space>)
    detail::for_shares(
        space, "dchag::fill", static_cast<Index>(to.size()),
        [data = to.data(), value](Index begin, Index end) { std::fill(data + begin, data + end, value); });
  else
    Kokkos::deep_copy(space, to, value);
}

/// Copies a contiguous view to another of as many elements, of which either may be in the memory of the host; a device
/// is not waited for. Throws where their numbers of elements differ.
template <class Space, class To, class From>
void copy(Space const& space, To const& to, From const& from) {
  require(to.size() == from.size(), "copy: ", from.size(), " elements to ", to.size());
  if constexpr (on_host<Space>)
    detail::for_shares(space, "dchag::copy", static_cast<Index>(to.size()),
                       [to = to.data(), from = from.data()](Index begin, Index end) {
                         std::copy(from + begin, from + end, to + begin);
                       });
  else
    Kokkos::deep_copy(space, to, from);
}

}  // namespace dchag
