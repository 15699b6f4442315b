#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/training/detail/sums.hpp>

namespace dchag {

/// The Euclidean norm of all gradients of the model together, summed in double: what the model ranks hold alike counts
/// once, and so does what the shard ranks divide. All ranks of the mesh call it. Waits for the device; zero in a dry
/// context.
template <class T, class Space>
double gradient_norm(Context<Space> const& context, Parameters<T, Space> const& parameters, Mesh const& mesh = {}) {
  auto scope = context.workspace().scope();
  bool const counts_shared = mesh.model().rank() == 0;
  auto const partial = detail::push_partial_sums(context);
  for (auto const& unit : parameters.units()) {
    for (OwnedRange const& range : unit.owned) {
      Index const skipped = counts_shared ? 0 : std::clamp<Index>(unit.shared - range.begin, 0, range.count);
      detail::Chunks const chunks(range.count - skipped, Parameters<T, Space>::padding);
      detail::sum_chunks(context, "dchag::clip::squares", chunks.count, partial.data(),
                         detail::SumOfSquares<T>{parameters.owned_gradients(unit, range) + skipped, chunks},
                         moves<T>(chunks.total));
    }
  }
  double squares = detail::total_of(context, partial);
  if (context.dry() && context.work() == nullptr) return 0;
  if (parameters.shard().count > 1) squares = mesh.shard().all_reduce(squares);
  return std::sqrt(mesh.model().all_reduce(squares));
}

/// What gradients of that norm are multiplied with, so that their norm is at most `largest`: PyTorch's clip_grad_norm_.
inline double clip_scale(double norm, double largest) { return std::fmin(1.0, largest / (norm + 1e-6)); }

}  // namespace dchag
