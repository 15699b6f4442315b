#pragma once

#include <Kokkos_Core.hpp>
#include <dchag/core/types.hpp>

namespace dchag::channels {

/// `tokens` tokens in `groups` contiguous groups whose sizes differ by at most one, the larger ones first.
struct Groups {
  Index tokens, groups;

  KOKKOS_INLINE_FUNCTION Index begin(Index group) const {
    return group * (tokens / groups) + Kokkos::min(group, tokens % groups);
  }
  KOKKOS_INLINE_FUNCTION Index size(Index group) const { return tokens / groups + (group < tokens % groups ? 1 : 0); }
  KOKKOS_INLINE_FUNCTION Index of(Index token) const {
    Index const small = tokens / groups, larger = tokens % groups * (small + 1);
    return token < larger ? token / (small + 1) : tokens % groups + (token - larger) / small;
  }
};

}  // namespace dchag::channels
