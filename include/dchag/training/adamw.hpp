#pragma once

#include <cmath>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/core/zeros.hpp>
#include <dchag/training/detail/lane_roots.hpp>
#include <string>
#include <vector>

namespace dchag {

/// Adam with decoupled weight decay on every parameter (Loshchilov and Hutter, arXiv 1711.05101), as torch.optim.AdamW.
struct AdamW {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;

  /// Throws where a value makes no sense.
  void check() const {
    require(learning_rate >= 0, "AdamW: learning_rate = ", learning_rate, ": give zero or more");
    require(beta1 >= 0 && beta1 < 1, "AdamW: beta1 = ", beta1, ": give a value from 0 to below 1");
    require(beta2 >= 0 && beta2 < 1, "AdamW: beta2 = ", beta2, ": give a value from 0 to below 1");
    require(epsilon > 0, "AdamW: epsilon = ", epsilon, ": give a value above 0");
    require(weight_decay >= 0, "AdamW: weight_decay = ", weight_decay, ": give zero or more");
  }
};

namespace detail {

/// The constants of one step, in the arithmetic of the parameters.
template <class T>
struct AdamWStep {
  T gradient_scale, decay, fresh1, keep2, fresh2, step_size, root_scale, epsilon;

  AdamWStep(AdamW const& adamw, double learning_rate, double scale, Index step)
      : gradient_scale(static_cast<T>(scale)),
        decay(static_cast<T>(1 - learning_rate * adamw.weight_decay)),
        fresh1(static_cast<T>(1 - adamw.beta1)),
        keep2(static_cast<T>(adamw.beta2)),
        fresh2(static_cast<T>(1 - adamw.beta2)),
        step_size(static_cast<T>(learning_rate / (1 - std::pow(adamw.beta1, static_cast<double>(step))))),
        root_scale(static_cast<T>(1 / std::sqrt(1 - std::pow(adamw.beta2, static_cast<double>(step))))),
        epsilon(static_cast<T>(adamw.epsilon)) {}
};

/// One pass over flat ranges of `count` numbers (a multiple of the padding of Parameters).
template <class Space, class T>
void adamw_pass(Context<Space> const& context, Index count, AdamWStep<T> const& step, T* values, T* gradients, T* first,
                T* second, bool zero_gradients) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  context.loop("dchag::adamw", count / lanes,
               KOKKOS_LAMBDA(Index block) {
                 Index const at = block * lanes;
                 L const g = load<L>(gradients + at) * step.gradient_scale;
                 L m = load<L>(first + at), v = load<L>(second + at), value = load<L>(values + at) * step.decay;
                 m += step.fresh1 * (g - m);
                 v = step.keep2 * v + step.fresh2 * g * g;
                 value -= step.step_size * m / (lane_roots<T>(v) * step.root_scale + step.epsilon);
                 store(values + at, value);
                 store(first + at, m);
                 store(second + at, v);
                 if (zero_gradients) store(gradients + at, L{});
               },
               {static_cast<double>(count * static_cast<Index>(sizeof(T))) * (zero_gradients ? 8 : 7)});
}

}  // namespace detail

enum class Gradients { keep, zero };

struct IgnoreUpdates {
  void operator()(std::size_t) const {}
};

/// What AdamW remembers of the parameters of a model: two moments of every number that this rank updates, in flat
/// buffers as the parameters', and how many steps were taken.
template <class T, class Space>
class AdamWState {
 public:
  using Buffer = typename ShardUnit<T, Space>::Buffer;
  struct Moments {
    Buffer first, second;
  };

  /// Of allocated parameters, which must outlive it; of planned ones it has no storage either.
  explicit AdamWState(Parameters<T, Space> const& parameters) : parameters_(&parameters) {
    static_assert(Parameters<T, Space>::padding % lane_count<T, Space> == 0);
    require(parameters.laid_out(), "AdamW: the parameters have no storage: allocate() them before");
    for (auto const& unit : parameters.units()) {
      auto const size = static_cast<std::size_t>(unit.owned_size());
      if (parameters.allocated())
        moments_.push_back({zeros<T, Space>("dchag::adamw::m " + unit.name, unit.owned_size()),
                            zeros<T, Space>("dchag::adamw::v " + unit.name, unit.owned_size())});
      else
        moments_.push_back({Buffer(unit.values.data(), size), Buffer(unit.values.data(), size)});
    }
  }

  /// One step of the optimizer on the gradients that this rank owns times gradient_scale, at that learning rate
  /// (AdamW's own is not used); they are zeroed in the same pass, or kept. updated(i) is called when the i-th
  /// unit's pass has been started.
  template <class Updated = IgnoreUpdates>
  void step(Context<Space> const& context, AdamW const& adamw, double learning_rate, double gradient_scale = 1,
            Gradients gradients = Gradients::zero, Updated const& updated = {}) {
    detail::AdamWStep<T> const constants(adamw, learning_rate, gradient_scale, steps_ + 1);
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      auto const& unit = parameters_->units()[i];
      for (OwnedRange const& range : unit.owned)
        detail::adamw_pass(context, range.count, constants, parameters_->owned_values(unit, range),
                           parameters_->owned_gradients(unit, range), moments_[i].first.data() + range.at,
                           moments_[i].second.data() + range.at, gradients == Gradients::zero);
      updated(i);
    }
    if (!context.dry()) ++steps_;
  }

  Index steps() const { return steps_; }
  void set_steps(Index steps) { steps_ = steps; }

  /// In the order of the units of the parameters, each of the unit's owned ranges one behind the other.
  std::vector<Moments> const& moments() const { return moments_; }

  /// Of all moments on this rank.
  std::size_t bytes() const {
    std::size_t elements = 0;
    for (Moments const& moments : moments_) elements += moments.first.size() + moments.second.size();
    return elements * sizeof(T);
  }

 private:
  Parameters<T, Space> const* parameters_;
  std::vector<Moments> moments_;
  Index steps_ = 0;
};

}  // namespace dchag
