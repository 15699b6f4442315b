#pragma once

#include <Kokkos_Core.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/types.hpp>
#include <string>
#include <vector>

namespace dchag::channels {

/// A list of indices that kernels read. Without storage (null data) until it is filled.
template <class Space>
using DeviceList = Kokkos::View<Index*, typename Space::device_type>;

template <class Space>
DeviceList<Space> device_list(std::string const& label, std::vector<Index> const& host) {
  DeviceList<Space> const list(label, host.size());
  copy(Space(), list, reshape<Index const*, Kokkos::HostSpace>(host.data(), host.size()));
  Space().fence("dchag::channels::device_list");
  return list;
}

}  // namespace dchag::channels
