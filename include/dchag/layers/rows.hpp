#pragma once

#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>

namespace dchag::layers {

/// Who works on a row in row_loop(), and how it goes along the columns. The bodies given are templates on the register
/// L that they work with, `[&]<class L>(Index j)`, and handle the columns from j on that L has lanes for. A column is
/// always handled by the same worker, so that what one loop wrote the next may read.
///
/// On the host a row is one thread's, which takes a vector register of columns at a time and the rest one by one.
template <class T, class Space, bool host = on_host<Space>>
struct Row {
  static constexpr int lanes = lane_count<T, Space>;
  using Register = Lanes<T, lanes>;

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void each(Index columns, Body const& body) const {
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) body.template operator()<Register>(j);
    for (; j < columns; ++j) body.template operator()<T>(j);
  }

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION T sum(Index columns, Body const& body) const {
    Register even{}, odd{};
    T rest{};
    Index j = 0;
    for (; j + 2 * lanes <= columns; j += 2 * lanes) {
      even += body.template operator()<Register>(j);
      odd += body.template operator()<Register>(j + lanes);
    }
    for (; j + lanes <= columns; j += lanes) even += body.template operator()<Register>(j);
    for (; j < columns; ++j) rest += body.template operator()<T>(j);
    return sum_lanes(even + odd, &rest) + rest;
  }

  /// The largest value; the lowest number where there are no columns.
  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION T largest(Index columns, Body const& body) const {
    T result = Kokkos::reduction_identity<T>::max();
    Register even = broadcast<Register>(result), odd = even;
    Index j = 0;
    for (; j + 2 * lanes <= columns; j += 2 * lanes) {
      even = max(even, body.template operator()<Register>(j));
      odd = max(odd, body.template operator()<Register>(j + lanes));
    }
    for (; j + lanes <= columns; j += lanes) even = max(even, body.template operator()<Register>(j));
    for (; j < columns; ++j) result = max(result, body.template operator()<T>(j));
    T lane_values[lanes];
    store(lane_values, max(even, odd));
    for (int lane = 0; lane < lanes; ++lane) result = max(result, lane_values[lane]);
    return result;
  }

  /// Once for the row, whoever works on it.
  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void once(Body const& body) const {
    body();
  }
};

/// On a device a row is a team's, one column a thread.
template <class T, class Space>
struct Row<T, Space, false> {
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Team const& team;

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void each(Index columns, Body const& body) const {
    Kokkos::parallel_for(Kokkos::TeamVectorRange(team, columns), [&](Index j) { body.template operator()<T>(j); });
  }

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION T sum(Index columns, Body const& body) const {
    T total{};
    Kokkos::parallel_reduce(
        Kokkos::TeamVectorRange(team, columns), [&](Index j, T& part) { part += body.template operator()<T>(j); },
        total);
    return total;
  }

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION T largest(Index columns, Body const& body) const {
    T result{};
    Kokkos::parallel_reduce(
        Kokkos::TeamVectorRange(team, columns),
        [&](Index j, T& part) { part = max(part, body.template operator()<T>(j)); }, Kokkos::Max<T>(result));
    return result;
  }

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void once(Body const& body) const {
    Kokkos::single(Kokkos::PerTeam(team), body);
  }
};

namespace detail {

template <class T, class Space, class Body>
struct ThreadPerRow {
  Body body;
  KOKKOS_FUNCTION void operator()(Index row) const { body(row, Row<T, Space, true>{}); }
};

template <class T, class Space, class Body>
struct TeamPerRow {
  Body body;
  KOKKOS_FUNCTION void operator()(typename Kokkos::TeamPolicy<Space>::member_type const& team) const {
    body(static_cast<Index>(team.league_rank()), Row<T, Space, false>{team});
  }
};

}  // namespace detail

/// body(r, Row const&) for r in [0, rows): one thread a row on the host, one team a row on devices.
template <class T, class Space, class Body>
void row_loop(Context<Space> const& context, char const* label, Index rows, Body const& body,
              LoopCost const& cost = {}) {
  if constexpr (on_host<Space>)
    context.loop(label, rows, detail::ThreadPerRow<T, Space, Body>{body}, cost);
  else
    context.teams(label, rows, 32, 0, detail::TeamPerRow<T, Space, Body>{body}, cost);
}

}  // namespace dchag::layers
