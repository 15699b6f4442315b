#pragma once

#include <algorithm>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>
#include <utility>

namespace dchag {

/// Sizes of the pieces that the kernels of a space work through one after the other, which are what temporaries take:
/// what the caches of a host hold, enough work to fill a device.
struct Pieces {
  bool host = true;
  Index tile_rows = 128;                   // rows of a tile of the front end, about
  Index chunk_bytes = Index{4} << 20;      // of temporaries of loops over channels
  Index attention_bytes = Index{1} << 20;  // of attention weights

  static constexpr Pieces of_host() { return {}; }
  static constexpr Pieces of_device() { return {false, 4096, Index{256} << 20, Index{1} << 26}; }

  /// Those of the space, or a device's where such a step is planned.
  template <class Space>
  static Pieces of() {
    return on_host<Space> && !device_planned() ? of_host() : of_device();
  }
  /// Rows that one thread takes at a time.
  template <class T, class Space>
  Index lanes() const {
    return host ? lane_count<T, Space> : 1;
  }

  /// Until the end of the block, steps that this thread runs over sizes are those of a device, whatever space their
  /// model is compiled for.
  class [[nodiscard]] PlanDevice {
   public:
    explicit PlanDevice(bool device) : outer_(std::exchange(device_planned(), device)) {}
    PlanDevice(PlanDevice const&) = delete;
    PlanDevice& operator=(PlanDevice const&) = delete;
    ~PlanDevice() { device_planned() = outer_; }

   private:
    bool outer_;
  };

 private:
  static bool& device_planned() {
    static thread_local bool planned = false;
    return planned;
  }
};

}  // namespace dchag
