#pragma once

#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>

// Sums in double, of partial sums whose number and bounds depend on the sizes alone: the same bits in every run, with
// any number of host threads.
namespace dchag::detail {

inline constexpr Index partial_sums = 512;

/// [0, total) in at most partial_sums chunks, all but the last of a multiple of `multiple`.
struct Chunks {
  Index total, step, count;
  explicit Chunks(Index total, Index multiple = 1)
      : total(total),
        step(round_up(Kokkos::max<Index>(1, ceil_div(total, partial_sums)), multiple)),
        count(ceil_div(total, step)) {}
  KOKKOS_FUNCTION Index begin(Index chunk) const { return chunk * step; }
  KOKKOS_FUNCTION Index end(Index chunk) const { return Kokkos::min(total, (chunk + 1) * step); }
};

/// Sums by one host thread, in running sums side by side that a compiler can keep in vectors.
struct ThreadSum {
  template <class Term>
  KOKKOS_FORCEINLINE_FUNCTION double operator()(Index count, Term const& term) const {
    constexpr int width = 16;
    double sums[width] = {};
    Index k = 0;
    for (; k + width <= count; k += width)
      for (int lane = 0; lane < width; ++lane) sums[lane] += term(k + lane);
    double total = 0;
    for (; k < count; ++k) total += term(k);
    for (int lane = 0; lane < width; ++lane) total += sums[lane];
    return total;
  }
};

/// Sums by all threads of a device's team.
template <class Team>
struct TeamSum {
  Team const& team;

  template <class Term>
  KOKKOS_FORCEINLINE_FUNCTION double operator()(Index count, Term const& term) const {
    double total = 0;
    Kokkos::parallel_reduce(
        Kokkos::TeamVectorRange(team, count), [&](Index k, double& sum) { sum += term(k); }, total);
    return total;
  }
};

template <class Space, class Body>
void sum_chunks_by_teams(Context<Space> const& context, char const* label, Index chunks, double* partial,
                         Body const& body, LoopCost const& cost) {
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  context.teams(
      label, chunks, 1, 0,
      KOKKOS_LAMBDA(Team const& team) {
        double const sum = body(team.league_rank(), TeamSum<Team>{team});
        Kokkos::single(Kokkos::PerTeam(team), [&] { partial[team.league_rank()] += sum; });
      },
      cost);
}

/// partial[chunk] += body(chunk, sum), where body reduces its chunk by sum(count, term): the sum of term(k) over [0,
/// count).
template <class Space, class Body>
void sum_chunks(Context<Space> const& context, char const* label, Index chunks, double* partial, Body const& body,
                LoopCost const& cost = {}) {
  if constexpr (on_host<Space>) {
    context.loop(
        label, chunks, [=](Index chunk) { partial[chunk] += body(chunk, ThreadSum{}); }, cost);
  } else {
    sum_chunks_by_teams(context, label, chunks, partial, body, cost);
  }
}

/// Partial sums that start at zero, on the workspace.
template <class Space>
View<double*, Space> push_partial_sums(Context<Space> const& context) {
  auto const partial = context.workspace().template push<double*>(partial_sums);
  context.fill(partial, 0.0);
  return partial;
}

/// The partial sums added in order, then divided by divisor[0] where there is a divisor (zero where that is zero).
/// Waits for the device.
template <class Space>
double total_of(Context<Space> const& context, View<double*, Space> const& partial, double const* divisor = nullptr) {
  return context.template sum<double>(
      "dchag::sums::total", 1, KOKKOS_LAMBDA(Index, double& answer) {
        double total = 0;
        for (Index i = 0; i < partial_sums; ++i) total += partial(i);
        if (divisor != nullptr) total = divisor[0] == 0 ? 0.0 : total / divisor[0];
        answer += total;
      });
}

/// The sum of squares of a flat range.
template <class T>
struct SumOfSquares {
  T const* values;
  Chunks chunks;

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index chunk, Sum const& sum) const {
    Index const count = chunks.end(chunk) - chunks.begin(chunk), half = count / 2;
    T const *const first = values + chunks.begin(chunk), *const second = first + half;
    double const pairs = sum(half, [=](Index k) {  // two streams, since one does not use all of a memory's bandwidth
      double const a = first[k], b = second[k];
      return a * a + b * b;
    });
    double const last = count % 2 == 1 ? second[half] : T{0};
    return pairs + last * last;
  }
};

}  // namespace dchag::detail
