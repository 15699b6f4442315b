#pragma once

#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/detail/gathered_units.hpp>
#include <dchag/parallel/detail/reduced_units.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/parallel/strategy.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace dchag {

/// Brings the values of a unit to the ranks that use it, and its gradients to those that own them, over the axes of a
/// mesh.
///
/// Values that are kept by slices (ZeRO 3) are gathered over the shard axis into room for a unit when it is used, and
/// the next unit's while it computes.
///
/// Gradients that are kept by slices (ZeRO 2 and 3) are collected in room for a unit while its backward pass runs, then
/// reduced over the shard axis and added to the slice while the next unit's runs. In the last batch of a step, what a
/// unit's gradients still need is started when its backward pass ends: the sum over the shard axis (ZeRO 1), over the
/// model axis where they are partial, and over the data axis.
///
/// All ranks of the mesh call its functions in the same order.
template <class T, class Space>
class ShardExchange final : public UnitHooks<Space> {
 public:
  /// Of parameters that outlive it.
  ShardExchange(Parameters<T, Space>& parameters, Mesh mesh)
      : parameters_(&parameters), mesh_(std::move(mesh)), gathered_(parameters), reduced_(parameters) {}

  void begin(Context<Space> const& context, Index unit, Pass pass) override {
    if (context.dry() && context.work() == nullptr) return plan(unit, pass);
    Shard const& shard = parameters_->shard();
    if (shard.values) gathered_.use(context, mesh_.shard(), unit, pass);
    if (shard.gradients && pass == Pass::backward) reduced_.collect(context, unit);
  }
  void end(Context<Space> const& context, Index unit, Pass pass) override {
    if ((!context.dry() || context.work() != nullptr) && pass == Pass::backward)
      reduced_.end_backward(context, mesh_, unit, last_);
  }
  void values_changed() override { gathered_.forget(); }

  /// The dry runs in between say which units are used, and in which order. Throws where one is not, and its parameters
  /// could not be read.
  void begin_plan() {
    used_.assign(parameters_->units().size(), {});
    gathered_.begin_plan();
    plans_ = true;
  }
  void end_plan() {
    plans_ = false;
    Shard const& shard = parameters_->shard();
    for (std::size_t i = 0; i < used_.size(); ++i) {
      auto const& unit = parameters_->units()[i];
      if (unit.parameters.empty()) continue;
      char const* const missing = shard.values && !used_[i].forward       ? "forward"
                                  : shard.gradients && !used_[i].backward ? "backward"
                                                                          : nullptr;
      require(missing == nullptr, "shard unit ", unit.name, ": only slices of it are kept, but its ", missing,
              " pass is no use of it: hold what parameters().use(context, unit, Pass::", missing,
              ") answers meanwhile");
    }
  }

  /// Before the gradients of a batch: whether it is the first one of its step, and the last one.
  void begin_batch(Context<Space> const& context, bool first, bool last) {
    if (first) reduced_.begin_step(context);
    last_ = last;
  }

  /// After the last batch of a step: the gradients that this rank owns become those of the whole mesh.
  void complete(Context<Space> const& context) {
    last_ = false;
    reduced_.complete(context, mesh_);
  }

  /// Ends what goes on between the batches of a step. Needed where gradients are read that no step is made of.
  void settle(Context<Space> const& context) { reduced_.settle(context, mesh_); }

  /// After the owned values of a unit were updated: starts bringing them to every rank that keeps them.
  void publish(Context<Space> const& context, std::size_t number) {
    Shard const& shard = parameters_->shard();
    if (shard.count == 1 || shard.values) return;
    published_.resize(parameters_->units().size());
    auto const& unit = parameters_->units()[number];
    for (std::size_t i = 0; i < unit.owned.size(); ++i) {
      OwnedRange const& range = unit.owned[i];
      Range const section = parameters_->section(range);
      published_[number][i] =
          mesh_.shard().start_all_gather(context, reshape<T*, Space>(unit.values.data() + range.begin, range.count),
                                         reshape<T*, Space>(unit.values.data() + section.begin, section.count));
    }
  }
  /// After those of all units were: every rank has the values that it keeps.
  void end_publish(Context<Space> const& context) {
    values_changed();
    for (auto& unit : published_)
      for (auto& pending : unit) pending.wait(context);
  }

 private:
  struct Used {
    bool forward = false, backward = false;
  };

  void plan(Index unit, Pass pass) {
    if (!plans_) return;
    Used& used = used_[static_cast<std::size_t>(unit)];
    (pass == Pass::forward ? used.forward : used.backward) = true;
    gathered_.plan(unit, pass);
  }

  Parameters<T, Space>* parameters_;
  Mesh mesh_;
  detail::GatheredUnits<T, Space> gathered_;
  detail::ReducedUnits<T, Space> reduced_;
  bool last_ = false;  // the batch is the last one of its step
  bool plans_ = false;
  std::vector<Used> used_;
  std::vector<std::array<Pending<Space>, 2>> published_;  // by unit and owned range
};

/// Has the ranks of the mesh's shard axis share parameters as strategy S says. A model calls it when all parameters are
/// added, before it allocates them. On one shard rank it does nothing.
template <ShardStrategy S, class T, class Space>
void shard(Parameters<T, Space>& parameters, Mesh const& mesh) {
  Communicator const& ranks = mesh.shard();
  if (!S::state || ranks.size() == 1) return;
  parameters.keep({ranks.rank(), ranks.size(), S::gradients, S::values},
                  std::make_shared<ShardExchange<T, Space>>(parameters, mesh));
}

/// What exchanges values and gradients for these parameters: what shard() made, or one for parameters that every rank
/// keeps whole, made at the first call and used from then on. Null on one rank.
template <class T, class Space>
std::shared_ptr<ShardExchange<T, Space>> shard_exchange(Parameters<T, Space>& parameters, Mesh const& mesh) {
  using Exchange = ShardExchange<T, Space>;
  if (mesh.world().size() == 1) return nullptr;
  if (parameters.hooks() == nullptr) parameters.set_hooks(std::make_shared<Exchange>(parameters, mesh));
  auto exchange = std::dynamic_pointer_cast<Exchange>(parameters.hooks());
  require(exchange != nullptr, "parameters: their hooks are not those of shard(): leave them to the trainer");
  return exchange;
}

}  // namespace dchag
