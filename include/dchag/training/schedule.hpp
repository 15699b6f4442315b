#pragma once

#include <cmath>
#include <concepts>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>

namespace dchag {

/// A learning-rate schedule: schedule(step) is the factor on the optimizer's learning rate in that step, counted from
/// zero.
template <class S>
concept Schedule = requires(S const& schedule, Index step) {
  { schedule(step) } -> std::convertible_to<double>;
};

struct ConstantRate {
  double operator()(Index) const { return 1; }
};

/// Rises linearly to one in `warmup` steps (the first has 1 / warmup), then falls along half a cosine to `minimum`,
/// which it has from step `total` on.
struct WarmupCosine {
  Index warmup = 0;
  Index total = 0;
  double minimum = 0;

  /// Throws unless 0 <= warmup < total.
  double operator()(Index step) const {
    require(warmup >= 0 && warmup < total, "WarmupCosine: warmup = ", warmup, ", total = ", total,
            ": the warm-up must end before the run does");
    if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
    if (step >= total) return minimum;
    double const progress = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return minimum + (1 - minimum) * 0.5 * (1 + std::cos(std::acos(-1.0) * progress));
  }
};

}  // namespace dchag
