#pragma once

#include <algorithm>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>
#include <type_traits>

namespace dchag::linalg {

/// total[j] += sum over rows r of m[r, j]. The order of the sum depends on the shape and the space alone.
template <class Space, class T>
void add_column_sums(Context<Space> const& context, std::type_identity_t<Matrix<T const>> m, T* total) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const columns = m.columns, rows = m.rows, stride = m.stride;
  T const* data = m.data;
  Index const chunks = std::max<Index>(1, std::min<Index>(ceil_div(rows, 128), 64)), step = ceil_div(rows, chunks);
  auto scope = context.workspace().scope();
  T* const partial = context.workspace().template push<T*>(chunks * columns).data();
  Index const blocks = ceil_div(columns, lanes);
  context.loop(
      "dchag::column_sums", chunks * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const chunk = item / blocks, first = item % blocks * lanes, end = Kokkos::min(rows, (chunk + 1) * step);
        if (first + lanes <= columns) {
          L sum{};
          for (Index r = chunk * step; r < end; ++r) sum += load<L>(data + r * stride + first);
          store(partial + chunk * columns + first, sum);
        } else {
          for (Index j = first; j < columns; ++j) {
            T sum = 0;
            for (Index r = chunk * step; r < end; ++r) sum += data[r * stride + j];
            partial[chunk * columns + j] = sum;
          }
        }
      },
      moves<T>(rows * columns));
  context.loop(
      "dchag::column_sums::total", columns, KOKKOS_LAMBDA(Index j) {
        T sum = 0;
        for (Index chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * columns + j];
        total[j] += sum;
      });
}

/// The sum of a host's row.
template <class T, class Space>
KOKKOS_INLINE_FUNCTION T row_sum(T const* row, Index columns) {
  constexpr int lanes = lane_count<T, Space>, unroll = 4;
  using L = Lanes<T, lanes>;
  L sums[unroll] = {};
  Index j = 0;
  for (; j + unroll * lanes <= columns; j += unroll * lanes)
    for (int k = 0; k < unroll; ++k) sums[k] += load<L>(row + j + k * lanes);
  for (; j + lanes <= columns; j += lanes) sums[0] += load<L>(row + j);
  T sum = sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]), row);
  for (; j < columns; ++j) sum += row[j];
  return sum;
}

/// total[r] += sum over columns j of m[r, j].
template <class Space, class T>
void add_row_sums(Context<Space> const& context, std::type_identity_t<Matrix<T const>> m, T* total) {
  Index const columns = m.columns, stride = m.stride;
  T const* data = m.data;
  if constexpr (on_host<Space>) {
    context.loop(
        "dchag::row_sums", m.rows,
        KOKKOS_LAMBDA(Index r) { total[r] += row_sum<T, Space>(data + r * stride, columns); },
        moves<T>(m.rows * columns));
  } else {
    using Team = typename Kokkos::TeamPolicy<Space>::member_type;
    context.teams(
        "dchag::row_sums", m.rows, 32, 0,
        KOKKOS_LAMBDA(Team const& team) {
          T const* const row = data + team.league_rank() * stride;
          T sum = 0;
          Kokkos::parallel_reduce(
              Kokkos::TeamVectorRange(team, columns), [&](Index j, T& part) { part += row[j]; }, sum);
          Kokkos::single(Kokkos::PerTeam(team), [&] { total[team.league_rank()] += sum; });
        },
        moves<T>(m.rows * columns));
  }
}

}  // namespace dchag::linalg
