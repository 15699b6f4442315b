#pragma once

#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/mesh.hpp>
#include <vector>

namespace dchag::detail {

template <class T, class Space>
void add_flat(Context<Space> const& context, Index count, T const* from, T* to) {
  context.loop(
      "dchag::shard::add", count, KOKKOS_LAMBDA(Index i) { to[i] += from[i]; }, moves<T>(3 * count));
}

/// The gradients of units on their way to the ranks that own them: over the shard axis, then over the model axis where
/// they are partial, then over the data axis. Each step is started when a unit's backward pass ends and waited for when
/// the next one's does, so that it goes on meanwhile.
template <class T, class Space>
class ReducedUnits {
 public:
  explicit ReducedUnits(Parameters<T, Space>& parameters) : parameters_(&parameters) {}

  /// Of a new step: gradients of the one before that are still under way are of no use.
  void begin_step(Context<Space> const& context) {
    for (auto& reduction : reductions_) wait(context, reduction);
    reductions_.resize(parameters_->units().size());
    for (auto& reduction : reductions_) reduction.stage = Stage::none;
    underway_.clear();
    underway_.reserve(reductions_.size());
  }

  /// Where gradients are kept by slices: the unit's point to room for all of them, which is zero.
  void collect(Context<Space> const& context, Index number) {
    auto const& unit = of(number);
    T* const whole = parameters_->whole_gradients(room_).data();
    context.fill(reshape<T*, Space>(whole, unit.size), T{0});
    Parameters<T, Space>::point_gradients(unit, whole);
  }

  /// The backward pass of a unit has ended; in the last batch of a step its gradients are complete then.
  void end_backward(Context<Space> const& context, Mesh const& mesh, Index unit, bool last) {
    advance(context, mesh);
    if (!last && !parameters_->shard().gradients) return;
    require(reductions_.empty() || of_unit(unit).stage == Stage::none, "shard unit ", of(unit).name,
            ": a second backward pass to one batch, after its gradients were reduced: make it one use");
    if (reductions_.empty()) begin_step(context);
    begin(context, mesh, unit, last, true);
  }

  /// All gradients that this rank owns become those of the whole step.
  void complete(Context<Space> const& context, Mesh const& mesh) {
    settle(context, mesh);
    for (std::size_t i = 0; i < reductions_.size(); ++i) {
      if (reductions_[i].stage != Stage::none) continue;
      begin(context, mesh, static_cast<Index>(i), true, !parameters_->shard().gradients);
      advance(context, mesh);
    }
    settle(context, mesh);
  }

  /// Returns when nothing is under way.
  void settle(Context<Space> const& context, Mesh const& mesh) {
    while (!underway_.empty()) advance(context, mesh);
  }

 private:
  enum class Stage { none, scattered, summed, averaged, complete };
  struct Reduction {
    Stage stage = Stage::none;  // what has been started last
    bool last = false;
    std::array<Pending<Space>, 2> pending;  // by owned range
  };

  static View<T*, Space> flat(T* data, Index count) { return reshape<T*, Space>(data, count); }
  ShardUnit<T, Space> const& of(Index unit) const { return parameters_->units()[static_cast<std::size_t>(unit)]; }
  Reduction& of_unit(Index unit) { return reductions_[static_cast<std::size_t>(unit)]; }
  static void wait(Context<Space> const& context, Reduction& reduction) {
    for (auto& pending : reduction.pending) pending.wait(context);
  }

  /// Starts the first step that a unit's gradients need; `scatter`: the shard axis has not been summed over.
  void begin(Context<Space> const& context, Mesh const& mesh, Index number, bool last, bool scatter) {
    Shard const& shard = parameters_->shard();
    Reduction& reduction = of_unit(number);
    reduction.last = last;
    underway_.push_back(number);
    if (shard.count == 1 || !scatter) return start_sum(context, mesh, number);
    auto const& unit = of(number);
    T* const whole = shard.gradients ? parameters_->whole_gradients(room_).data() : unit.gradients.data();
    if (shard.gradients) room_ = 1 - room_;
    for (std::size_t i = 0; i < unit.owned.size(); ++i) {
      OwnedRange const& range = unit.owned[i];
      Range const section = parameters_->section(range);
      reduction.pending[i] =
          mesh.shard().start_reduce_scatter(context, flat(whole + section.begin, section.count), arriving(range));
    }
    reduction.stage = Stage::scattered;
  }

  View<T*, Space> arriving(OwnedRange const& range) const {
    return flat(parameters_->arriving().data() + range.at, range.count);
  }

  void take_arrived(Context<Space> const& context, ShardUnit<T, Space> const& unit) {
    for (OwnedRange const& range : unit.owned) {
      T* const owned = parameters_->owned_gradients(unit, range);
      if (parameters_->shard().gradients)
        add_flat<T>(context, range.count, arriving(range).data(), owned);
      else
        context.copy(flat(owned, range.count), arriving(range));
    }
  }

  void start_sum(Context<Space> const& context, Mesh const& mesh, Index number) {
    auto const& unit = of(number);
    Reduction& reduction = of_unit(number);
    if (unit.summed == 0 || mesh.model().size() == 1) return start_average(context, mesh, number);
    T* const summed = parameters_->owned_gradients(unit, unit.owned.front());
    reduction.pending[0] =
        mesh.model().start_all_reduce(context, flat(summed, unit.summed / parameters_->shard().count));
    reduction.stage = Stage::summed;
  }

  void start_average(Context<Space> const& context, Mesh const& mesh, Index number) {
    auto const& unit = of(number);
    Reduction& reduction = of_unit(number);
    Communicator const& others = parameters_->shard().count > 1 ? mesh.data() : mesh.replicas();
    for (std::size_t i = 0; i < unit.owned.size(); ++i) {
      OwnedRange const& range = unit.owned[i];
      if (range.count > 0)
        reduction.pending[i] =
            others.start_all_reduce(context, flat(parameters_->owned_gradients(unit, range), range.count));
    }
    reduction.stage = Stage::averaged;
  }

  /// Waits for the steps that are under way, and starts the ones behind them.
  void advance(Context<Space> const& context, Mesh const& mesh) {
    for (Index const number : underway_) {
      Reduction& reduction = of_unit(number);
      wait(context, reduction);
      if (reduction.stage == Stage::averaged) {
        reduction.stage = Stage::complete;
      } else if (reduction.stage == Stage::summed) {
        start_average(context, mesh, number);
      } else {
        take_arrived(context, of(number));
        reduction.stage = Stage::none;
        if (reduction.last) start_sum(context, mesh, number);
      }
    }
    std::erase_if(underway_, [&](Index number) {
      Stage const stage = of_unit(number).stage;
      return stage == Stage::none || stage == Stage::complete;
    });
  }

  Parameters<T, Space>* parameters_;
  std::vector<Reduction> reductions_;  // by unit
  std::vector<Index> underway_;        // units in the order in which they began
  std::size_t room_ = 0;
};

}  // namespace dchag::detail
