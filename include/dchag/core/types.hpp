#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>

namespace dchag {

/// Sizes, counts and offsets in elements.
using Index = std::int64_t;

/// A row-major view on memory that somebody else owns: a flat parameter buffer or the workspace.
template <class Data, class Space>
using View =
    Kokkos::View<Data, Kokkos::LayoutRight, typename Space::device_type, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

KOKKOS_INLINE_FUNCTION constexpr Index ceil_div(Index value, Index step) { return (value + step - 1) / step; }
KOKKOS_INLINE_FUNCTION constexpr Index round_up(Index value, Index step) { return ceil_div(value, step) * step; }

/// The same memory under another shape of the same number of elements.
template <class Data, class Space, class T, class... Extents>
View<Data, Space> reshape(T* data, Extents... extents) {
  return View<Data, Space>(data, static_cast<std::size_t>(extents)...);
}

}  // namespace dchag
