#pragma once

#include <Kokkos_Core.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>

namespace dchag {

/// The sum of all lanes of f(row, n) over row in [0, rows) and n from 0 to below width by lane_count<T, Space>, which
/// the threads of a team form together, all of them calling.
template <class T, class Space, class Team, class F>
KOKKOS_FUNCTION T team_sum(Team const& team, Index rows, Index width, F const& f) {
  constexpr int lanes = lane_count<T, Space>;
  T total = 0;
  Kokkos::parallel_reduce(
      Kokkos::TeamThreadRange(team, rows),
      [&](Index row, T& part) {
        if constexpr (on_host<Space>) {
          Lanes<T, lanes> sum{};
          for (Index n = 0; n < width; n += lanes) sum += f(row, n);
          part += sum_lanes(sum, &part);
        } else {
          T of_row = 0;
          Kokkos::parallel_reduce(
              Kokkos::ThreadVectorRange(team, width), [&](Index n, T& few) { few += f(row, n); }, of_row);
          part += of_row;
        }
      },
      total);
  return total;
}

}  // namespace dchag
