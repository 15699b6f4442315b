#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>

namespace dchag::channels {

namespace detail {

/// Of a few columns of one row; on a host several registers of them, so that each term reads whole cache lines: what
/// one term reads stands far from what the next reads.
template <class T, class Space, class Term>
struct TermSum {
  static constexpr int lanes = lane_count<T, Space>, together = on_host<Space> ? 256 / (lanes * int{sizeof(T)}) : 1;
  Index terms, width, pitch;
  T const* bias;
  Term term;
  T* out;

  template <int registers>
  KOKKOS_FORCEINLINE_FUNCTION void run(Index row, Index n) const {
    using L = Lanes<T, lanes>;
    L total[registers];
    for (int k = 0; k < registers; ++k) total[k] = broadcast<L>(bias == nullptr ? T{0} : bias[0]);
    for (Index at = 0; at < terms; ++at)
      for (int k = 0; k < registers; ++k) total[k] += term(at, row, n + k * lanes);
    for (int k = 0; k < registers; ++k) store(out + row * pitch + n + k * lanes, total[k]);
  }

  KOKKOS_FUNCTION void operator()(Index row, Index n) const {
    if (n + together * lanes <= width) return run<together>(row, n);
    for (; n < width; n += lanes) run<1>(row, n);
  }
};

}  // namespace detail

/// out[row, n] = bias[0] + sum over `at` of term(at, row, n), which answers lanes that begin with n; bias may be null.
template <class T, class Space, class Term>
void sum_terms(Context<Space> const& context, char const* label, Tiling const& tiling, Index terms, Index rows,
               T const* bias, Term const& term, T* out, LoopCost const& cost) {
  using Sum = detail::TermSum<T, Space, Term>;
  context.rows(label, rows, tiling.width, Sum::together * Sum::lanes,
               Sum{terms, tiling.width, tiling.pitch, bias, term, out}, cost);
}

}  // namespace dchag::channels
