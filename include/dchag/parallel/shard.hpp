#pragma once

#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/parallel/strategy.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace dchag {

namespace detail {

template <class T, class Space>
void add_flat(Context<Space> const& context, Index count, T const* from, T* to) {
  context.loop(
      "dchag::shard::add", count, KOKKOS_LAMBDA(Index i) { to[i] += from[i]; });
}

}  // namespace detail

/// Brings the values of a unit to the ranks that use it, and its gradients to those that own them, over the axes of a
/// mesh:
///
/// - values that are kept by slices (ZeRO 3) are gathered over the shard axis into room for one unit when it is used;
/// - gradients that are kept by slices (ZeRO 2 and 3) are collected in room for one unit while its backward pass runs,
///   then reduced over the shard axis and added to the slice;
/// - at the last batch of a step a unit is *completed* as soon as its backward pass is done: its gradients become the
///   sums over the shard axis (ZeRO 1), over the model axis where they are partial, and over the data axis.
///
/// All ranks of the mesh call its functions in the same order.
template <class T, class Space>
class ShardExchange final : public UnitHooks<Space> {
 public:
  /// Of parameters that outlive it.
  ShardExchange(Parameters<T, Space>& parameters, Mesh mesh) : parameters_(&parameters), mesh_(std::move(mesh)) {}

  void begin(Context<Space> const& context, Index unit, Pass pass) override {
    if (context.dry()) return note(unit, pass);
    Shard const& shard = parameters_->shard();
    if (shard.values && gathered_ != unit) gather(context, unit);
    if (!shard.gradients || pass == Pass::forward) return;
    context.fill(reshape<T*, Space>(parameters_->whole_gradients().data(), of(unit).size), T{0});
    Parameters<T, Space>::point_gradients(of(unit), parameters_->whole_gradients().data());
  }

  void end(Context<Space> const& context, Index unit, Pass pass) override {
    if (context.dry() || pass == Pass::forward) return;
    if (parameters_->shard().gradients) scatter(context, of(unit), parameters_->whole_gradients().data());
    if (!last_) return;
    require(!is_complete(unit), "shard unit ", of(unit).name,
            ": a second backward pass to one batch, after its gradients were reduced: make it one use");
    complete(context, unit);
  }

  void values_changed() override { gathered_ = -1; }

  /// Dry runs from here on say which units are used; throws where one is not, and its parameters could not be read.
  void begin_plan() { used_.assign(parameters_->units().size(), {}); }
  void end_plan() const {
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

  /// Before the backward pass of a batch: whether it is the last one of its step.
  void begin_batch(bool first, bool last) {
    if (first) complete_.assign(parameters_->units().size(), false);
    last_ = last;
  }

  /// After the backward pass of the last batch of a step: the gradients that this rank owns are those of the whole
  /// mesh.
  void complete(Context<Space> const& context) {
    last_ = false;
    for (std::size_t i = 0; i < complete_.size(); ++i)
      if (!complete_[i]) complete(context, static_cast<Index>(i));
  }

  /// After the owned values were updated: every rank has those that it keeps.
  void publish(Context<Space> const& context) {
    values_changed();
    Shard const& shard = parameters_->shard();
    if (shard.count == 1 || shard.values) return;
    for (auto const& unit : parameters_->units()) {
      for (OwnedRange const& range : unit.owned) {
        T* const section = unit.values.data() + section_begin(range);
        mesh_.shard().all_gather(context, flat(section + shard.index * range.count, range.count),
                                 flat(section, shard.count * range.count));
      }
    }
  }

 private:
  struct Used {
    bool forward = false, backward = false;
  };

  static View<T*, Space> flat(T* data, Index count) { return reshape<T*, Space>(data, count); }
  ShardUnit<T, Space> const& of(Index unit) const { return parameters_->units()[static_cast<std::size_t>(unit)]; }
  bool is_complete(Index unit) const { return complete_[static_cast<std::size_t>(unit)]; }

  /// Where the slices of all ranks begin, of which `range` is this rank's.
  Index section_begin(OwnedRange const& range) const { return range.begin - parameters_->shard().index * range.count; }

  void note(Index unit, Pass pass) {
    if (static_cast<std::size_t>(unit) >= used_.size()) return;
    Used& used = used_[static_cast<std::size_t>(unit)];
    (pass == Pass::forward ? used.forward : used.backward) = true;
  }

  void gather(Context<Space> const& context, Index number) {
    ShardUnit<T, Space> const& unit = of(number);
    T* const whole = parameters_->whole_values().data();
    gathered_ = -1;
    for (OwnedRange const& range : unit.owned)
      mesh_.shard().all_gather(context, flat(unit.values.data() + range.at, range.count),
                               flat(whole + section_begin(range), parameters_->shard().count * range.count));
    Parameters<T, Space>::point_values(unit, whole);
    gathered_ = number;
  }

  /// The owned part of `whole`, summed over the shard axis, is added to the slice of gradients that is kept; or takes
  /// its place in `whole` where that is what is kept.
  void scatter(Context<Space> const& context, ShardUnit<T, Space> const& unit, T* whole) {
    for (OwnedRange const& range : unit.owned) {
      auto const arriving = flat(parameters_->arriving().data(), range.count);
      mesh_.shard().reduce_scatter(
          context, flat(whole + section_begin(range), parameters_->shard().count * range.count), arriving);
      T* const kept = parameters_->owned_gradients(unit, range);
      if (parameters_->shard().gradients)
        detail::add_flat<T>(context, range.count, arriving.data(), kept);
      else
        context.copy(flat(kept, range.count), arriving);
    }
  }

  void complete(Context<Space> const& context, Index number) {
    ShardUnit<T, Space> const& unit = of(number);
    Shard const& shard = parameters_->shard();
    complete_[static_cast<std::size_t>(number)] = true;
    if (shard.count > 1 && !shard.gradients) scatter(context, unit, unit.gradients.data());
    if (unit.summed > 0)
      mesh_.model().all_reduce(context,
                               flat(parameters_->owned_gradients(unit, unit.owned.front()), unit.summed / shard.count));
    Communicator const& others = shard.count > 1 ? mesh_.data() : mesh_.replicas();
    for (OwnedRange const& range : unit.owned)
      if (range.count > 0) others.all_reduce(context, flat(parameters_->owned_gradients(unit, range), range.count));
  }

  Parameters<T, Space>* parameters_;
  Mesh mesh_;
  Index gathered_ = -1;  // the unit that stands in the room for one
  bool last_ = false;    // the batch is the last one of its step
  std::vector<bool> complete_;
  std::vector<Used> used_;
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
