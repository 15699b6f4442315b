#pragma once

#include <cstddef>
#include <dchag/core/lanes.hpp>
#include <dchag/core/large_pages.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/types.hpp>
#include <string>

namespace dchag {

/// A buffer of `count` zeros, written by all threads of the space: memory of a host comes in large pages, from near the
/// threads that will use it.
template <class T, class Space>
Kokkos::View<T*, typename Space::device_type> zeros(std::string const& label, Index count) {
  Kokkos::View<T*, typename Space::device_type> const buffer(Kokkos::view_alloc(Kokkos::WithoutInitializing, label),
                                                             static_cast<std::size_t>(count));
  if constexpr (on_host<Space>) prefer_large_pages(buffer.data(), buffer.size() * sizeof(T));
  fill(Space(), buffer, T{0});
  Space().fence("dchag::zeros");
  return buffer;
}

}  // namespace dchag
