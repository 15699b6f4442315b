#pragma once

#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/products.hpp>
#include <dchag/core/types.hpp>
#include <dchag/core/work.hpp>
#include <dchag/core/workspace.hpp>

namespace dchag {

namespace detail {

/// An item of Context::rows(): a row of a host, a step of a row of a device.
template <class Space, class Body>
struct RowSteps {
  Index width, step;
  Body body;

  KOKKOS_FUNCTION void operator()(Index item) const {
    if constexpr (on_host<Space>) {
      for (Index n = 0; n < width; n += step) body(item, n);
    } else {
      Index const steps = width / step;
      body(item / steps, item % steps * step);
    }
  }
};

}  // namespace detail

/// Where a step runs: an execution space instance and the workspace. Every kernel of the library is started through it,
/// so that a context whose workspace only measures runs the same code over sizes alone. Such a context may have a Work,
/// which is told what would have been done.
///
/// A context also says how products are computed. A model sets that from its Precision policy, whatever the context
/// that it is given says; layers take it as it comes.
template <class Space_>
class Context {
 public:
  using Space = Space_;

  explicit Context(Workspace<Space>& workspace, Space const& space = Space()) : workspace_(&workspace), space_(space) {}
  /// Throws where the workspace has storage.
  Context(Workspace<Space>& workspace, Work& work, Space const& space = Space())
      : workspace_(&workspace), work_(&work), space_(space) {
    require(workspace.measuring(), "context: its workspace has storage: give a context with a Work one that measures");
  }

  /// The same context, with products computed so.
  Context with(Products products) const {
    Context context = *this;
    context.products_ = products;
    return context;
  }

  Space const& space() const { return space_; }
  Workspace<Space>& workspace() const { return *workspace_; }
  bool dry() const { return workspace_->measuring(); }
  Work* work() const { return work_; }  // null: nobody is told
  Products products() const { return products_; }

  /// body(i) for i in [0, count).
  template <class Body>
  void loop(char const* label, Index count, Body const& body, LoopCost const& cost = {}) const {
    if (tells(label, count, cost) || count == 0) return;
    for_each(space_, label, count, body);
  }

  /// body(row, n) for row in [0, count) and n from 0 to below width by steps: on a host a thread takes whole rows, on a
  /// device neighbours take the steps of a row.
  template <class Body>
  void rows(char const* label, Index count, Index width, Index step, Body const& body,
            LoopCost const& cost = {}) const {
    loop(label, count * (on_host<Space> ? 1 : width / step), detail::RowSteps<Space, Body>{width, step, body}, cost);
  }

  /// body(i, sum&) for i in [0, count), the sum returned. Waits for the device. Zero where nothing runs.
  template <class T, class Body>
  T sum(char const* label, Index count, Body const& body, LoopCost const& cost = {}) const {
    if (tells(label, count, cost) || count == 0) return T{};
    return sum_each<T>(space_, label, count, body);
  }

  /// body(team) for a league of teams, with the vector length and the bytes of team scratch (level 0) given.
  template <class Body>
  void teams(char const* label, Index league, int vector_length, std::size_t scratch, Body const& body,
             LoopCost const& cost = {}) const {
    if (tells(label, league, cost) || league == 0) return;
    using Policy = Kokkos::TeamPolicy<Space>;
    Kokkos::parallel_for(label,
                         Policy(space_, static_cast<int>(league), Kokkos::AUTO, vector_length)
                             .set_scratch_size(0, Kokkos::PerTeam(scratch)),
                         body);
  }

  /// dchag::fill
  template <class To>
  void fill(To const& to, typename To::value_type value) const {
    if (!tells("dchag::fill", 1, {bytes_of(to)})) dchag::fill(space_, to, value);
  }

  /// dchag::copy
  template <class To, class From>
  void copy(To const& to, From const& from) const {
    if (!tells("dchag::copy", 1, {bytes_of(to) + bytes_of(from)})) dchag::copy(space_, to, from);
  }

  void fence(char const* label) const {
    if (!dry()) space_.fence(label);
  }

 private:
  /// Whether nothing is to be run; the Work has been told then.
  bool tells(char const* label, Index count, LoopCost const& cost) const {
    if (!dry()) return false;
    if (work_ != nullptr && count > 0) work_->loop(label, cost);
    return true;
  }
  template <class V>
  static double bytes_of(V const& view) {
    return static_cast<double>(view.size()) * static_cast<double>(sizeof(typename V::value_type));
  }

  Workspace<Space>* workspace_;
  Work* work_ = nullptr;
  Space space_;
  Products products_ = Products::unrounded;
};

/// Names a phase for Kokkos Tools until the end of the block.
using Region = Kokkos::Profiling::ScopedRegion;

}  // namespace dchag
