#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/channels/front_end.hpp>
#include <vector>

namespace dchag::benchmarks {

using Device = Kokkos::DefaultExecutionSpace;

struct Shape {
  Index rows, channels, patch_edge, embed, heads;
  UnitSize unit() const { return {rows, channels, patch_edge * patch_edge, embed, heads}; }
};

inline double median(std::vector<double> seconds) {
  auto const middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

/// Numbers as of a standard normal distribution.
inline Kokkos::View<float*, Device> pixels(Index count) {
  Kokkos::View<float*, Device> const image("image", static_cast<std::size_t>(count));
  Kokkos::parallel_for(
      "image", Kokkos::RangePolicy<Device, Kokkos::IndexType<Index>>(0, count),
      KOKKOS_LAMBDA(Index i) { image(i) = static_cast<float>(random_normal(1, static_cast<std::uint64_t>(i))); });
  return image;
}

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
    auto scope = workspace_.scope();
    Context<Device> const context(workspace_);
    auto const tiling = Tiling::of<float, Device>(shape_.rows);
    auto const gradient = workspace_.template push<float***>(tiling.tiles, shape_.embed, tiling.pitch);
    context.fill(gradient, 1.0f);
    context.fence("gradient");
    Kokkos::Timer const timer;
    model_.forward(context, image_.data(), nullptr, shape_.rows, 1);
    model_.backward(context, gradient.data());
    context.fence("step");
    return timer.seconds();
  }

  std::size_t workspace_bytes() const { return workspace_.capacity(); }

  /// Of parameters, gradients and AdamW's two moments (as large as these two), workspace and image on this rank.
  std::size_t bytes() const { return 2 * parameters_.bytes() + workspace_bytes() + image_.size() * sizeof(float); }

 private:
  Shape shape_;
  Parameters<float, Device> parameters_;
  FrontEnd<float, Device, TreePolicy, Evaluation, false, Joining> model_;
  Kokkos::View<float*, Device> image_;
  Workspace<Device> workspace_;
};

}  // namespace dchag::benchmarks
