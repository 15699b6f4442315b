#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/large_pages.hpp>
#include <dchag/core/types.hpp>
#include <utility>

namespace dchag {

/// One block of device memory, used as a stack: what a forward pass pushes, its backward pass releases in reverse
/// order.
///
/// A workspace that was made without storage *measures*: it hands out addresses that must not be touched and records
/// the peak, so that running a step over sizes alone tells how much storage the step needs, to the byte.
template <class Space>
class Workspace {
 public:
  static constexpr std::size_t alignment = 128;  // bytes; whole cache lines, and aligned for every vector width

  Workspace() = default;
  explicit Workspace(std::size_t bytes) { allocate(bytes); }
  Workspace(Workspace const&) = delete;
  Workspace& operator=(Workspace const&) = delete;

  /// Turns a measuring workspace into one of that many bytes. Throws if something is on the stack.
  void allocate(std::size_t bytes) {
    require(used_ == 0, "workspace: ", used_, " bytes are in use while storage is being allocated: release them first");
    memory_ = Storage(Kokkos::view_alloc(Kokkos::WithoutInitializing, "dchag::workspace"), bytes + alignment);
    if constexpr (on_host<Space>) prefer_large_pages(memory_.data(), bytes + alignment);
    auto const address = reinterpret_cast<std::uintptr_t>(memory_.data());
    base_ = memory_.data() + (round_up(static_cast<Index>(address), alignment) - static_cast<Index>(address));
    capacity_ = bytes;
    measuring_ = false;
    peak_ = 0;
  }

  bool measuring() const { return measuring_; }
  std::size_t used() const { return used_; }          // bytes
  std::size_t peak() const { return peak_; }          // bytes
  std::size_t capacity() const { return capacity_; }  // bytes

  /// Pushes a view of the given extents. Its contents are undefined. Throws when the storage does not suffice.
  template <class Data, class... Extents>
  View<Data, Space> push(Extents... extents) {
    using T = typename View<Data, Space>::value_type;
    Index const count = (Index{1} * ... * static_cast<Index>(extents));
    return reshape<Data, Space>(static_cast<T*>(push_bytes(static_cast<std::size_t>(count) * sizeof(T))), extents...);
  }

  /// Everything pushed after mark() was called is gone after release() of what it returned.
  std::size_t mark() const { return used_; }
  void release(std::size_t mark) {
    require(mark <= used_, "workspace: release to ", mark, " bytes, but only ", used_, " are in use");
    used_ = mark;
  }

  /// Releases at the end of a block what was pushed in it.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), mark_(workspace.mark()) {}
    ~Scope() { workspace_.used_ = std::min(workspace_.used_, mark_); }
    Scope(Scope const&) = delete;
    Scope& operator=(Scope const&) = delete;

   private:
    Workspace& workspace_;
    std::size_t mark_;
  };
  [[nodiscard]] Scope scope() { return Scope(*this); }

 private:
  using Storage = Kokkos::View<std::byte*, typename Space::device_type>;

  void* push_bytes(std::size_t bytes) {
    std::size_t const begin = used_;
    used_ = static_cast<std::size_t>(round_up(static_cast<Index>(begin + bytes), alignment));
    if (!measuring_ && used_ > capacity_) {
      std::size_t const needed = std::exchange(used_, begin) - begin;
      fail("workspace: ", needed, " bytes asked for with ", begin, " of ", capacity_,
           " in use: plan the step for the largest batch before the first one");
    }
    peak_ = std::max(peak_, used_);
    return base_ + begin;
  }

  Storage memory_;
  std::byte* base_ = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 12);  // never touched: see measuring()
  std::size_t used_ = 0, peak_ = 0, capacity_ = 0;
  bool measuring_ = true;
};

}  // namespace dchag
