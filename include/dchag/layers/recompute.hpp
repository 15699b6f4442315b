#pragma once

#include <dchag/core/context.hpp>
#include <dchag/linalg/matrix.hpp>
#include <utility>

namespace dchag::layers {

/// A layer that works in place on the residual stream, made to keep only its input, whole rows [rows, columns]:
/// backward runs the layer's forward again, as far as its `prepare` does: all that its backward reads, perhaps not the
/// result. The same kernels on the same numbers, so that results and gradients are those of the layer itself.
template <class T, class Space, class Layer>
class Recomputed {
 public:
  using Rows = linalg::Matrix<T>;

  template <class... Arguments>
  explicit Recomputed(Arguments&&... arguments) : layer_(std::forward<Arguments>(arguments)...) {}

  /// x becomes the layer's result.
  void forward(Context<Space> const& context, Rows x, Index images) {
    images_ = images;
    mark_ = context.workspace().mark();
    input_ = context.workspace().template push<T**>(x.rows, x.columns);
    context.copy(input_, reshape<T**, Space>(x.data, x.rows, x.columns));
    auto scope = context.workspace().scope();
    layer_.forward(context, x, images);
  }

  /// g, the gradient of the result, becomes that of the input.
  void backward(Context<Space> const& context, Rows g) {
    layer_.prepare(context, input_, images_);
    layer_.backward(context, g);
    context.workspace().release(mark_);
  }

 private:
  Layer layer_;
  Index images_ = 0;
  std::size_t mark_ = 0;
  View<T**, Space> input_;
};

}  // namespace dchag::layers
