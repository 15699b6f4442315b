#pragma once

#include <cstddef>
#include <dchag/channels/front_end.hpp>

#include "timing.hpp"

namespace dchag::benchmarks {

struct Shape {
  Index rows, channels, patch_edge, embed, heads;
  UnitSize unit() const { return {rows, channels, patch_edge * patch_edge, embed, heads}; }
};

/// A front end, flat unless a tree is given, on one image whose locations are a row of patches; step() goes forward and
/// backward once. All ranks of the group build it and call step() together.
template <class Evaluation, class TreePolicy = Tree<CrossAttention<1>>, PartitionPolicy Parting = Contiguous,
          class Joining = Auto>
class FrontEndRun {
 public:
  explicit FrontEndRun(Shape const& shape, Communicator const& group = {})
      : shape_(shape),
        model_(parameters_, {shape.channels, shape.patch_edge, shape.rows * shape.patch_edge, shape.patch_edge},
               shape.embed, shape.heads, group, channels::owners_of<Parting>(shape.channels, {}, group.size())),
        image_(pixels(model_.grid().channels * model_.grid().pixels() * shape.rows)) {
    parameters_.allocate(1);
    step();
    workspace_.allocate(workspace_.peak());
    step();
  }

  /// Seconds.
  double step() {
    Kokkos::Timer const timer;
    auto scope = workspace_.scope();
    Context<Device> const context(workspace_);
    auto const tiling = Tiling::of<float, Device>(shape_.rows);
    auto const gradient = workspace_.template push<float***>(tiling.tiles, shape_.embed, tiling.pitch);
    context.fill(gradient, 1.0f);
    model_.forward(context, image_.data(), nullptr, shape_.rows, 1);
    model_.backward(context, gradient.data());
    context.fence("step");
    return timer.seconds();
  }

  std::size_t workspace_bytes() const { return workspace_.capacity(); }
  std::size_t image_bytes() const { return image_.size() * sizeof(float); }
  std::size_t held_bytes() const { return parameters_.bytes(); }  // parameters and gradients

  /// Of parameters, gradients and AdamW's two moments (as large as these two), workspace and image on this rank.
  std::size_t bytes() const { return 2 * held_bytes() + workspace_bytes() + image_bytes(); }

 private:
  Shape shape_;
  Parameters<float, Device> parameters_;
  FrontEnd<float, Device, TreePolicy, Evaluation, false, Joining> model_;
  Kokkos::View<float*, Device> image_;
  Workspace<Device> workspace_;
};

}  // namespace dchag::benchmarks
