#pragma once

#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/parallel/communicator.hpp>
#include <dchag/training/detail/sums.hpp>

namespace dchag {

/// The Euclidean norm of all gradients together, summed in double. Where several ranks hold disjoint parts of the
/// parameters, `holders` are those ranks, and all of them call it. Waits for the device; zero in a dry context.
template <class T, class Space>
double gradient_norm(Context<Space> const& context, Parameters<T, Space> const& parameters,
                     Communicator const& holders = {}) {
  auto scope = context.workspace().scope();
  auto const partial = detail::push_partial_sums(context);
  for (auto const& unit : parameters.units()) {
    detail::Chunks const chunks(unit.size, Parameters<T, Space>::padding);
    detail::sum_chunks(context, "dchag::clip::squares", chunks.count, partial.data(),
                       detail::SumOfSquares<T>{unit.gradients.data(), chunks});
  }
  return std::sqrt(holders.all_reduce(detail::total_of(context, partial)));
}

/// What gradients of that norm are multiplied with, so that their norm is at most `largest`: PyTorch's clip_grad_norm_.
inline double clip_scale(double norm, double largest) { return std::fmin(1.0, largest / (norm + 1e-6)); }

}  // namespace dchag
