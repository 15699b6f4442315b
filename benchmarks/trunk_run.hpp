#pragma once

#include <cstddef>
#include <dchag/models/encoder.hpp>

#include "timing.hpp"

namespace dchag::benchmarks {

/// A transformer's trunk on one image of `locations` locations; step() goes forward and backward once, down to the
/// gradient of the input.
class TrunkRun {
 public:
  TrunkRun(TransformerConfig const& config, Index locations)
      : config_(config),
        locations_(locations),
        encoder_(parameters_, config),
        input_(pixels(locations * config.embed)) {
    parameters_.allocate(1);
    step();
    workspace_.allocate(workspace_.peak());
    step();
  }

  void step() {
    auto scope = workspace_.scope();
    Context<Device> const context(workspace_);
    auto const x = workspace_.push<float**>(locations_, config_.embed);
    context.copy(x, reshape<float**, Device>(input_.data(), locations_, config_.embed));
    encoder_.forward(context, x, 1);
    context.fill(x, 1.0f);
    encoder_.backward(context, x);
    context.fence("step");
  }

  /// Multiply-adds of a step: the products of the linear layers, once forward and twice backward, and those of the
  /// attention, two forward and five backward, where the scores are formed again.
  double operations() const {
    double const rows = static_cast<double>(locations_), embed = static_cast<double>(config_.embed),
                 hidden = static_cast<double>(config_.hidden());
    double const linear = rows * embed * (4 * embed + 2 * hidden), attention = rows * rows * embed;
    return static_cast<double>(config_.depth) * (3 * linear + 7 * attention);
  }

  /// Bytes of parameters and gradients; of the workspace and the input.
  std::size_t held_bytes() const { return parameters_.bytes(); }
  std::size_t passing_bytes() const { return workspace_.capacity() + input_.size() * sizeof(float); }
  std::size_t workspace_bytes() const { return workspace_.capacity(); }

 private:
  TransformerConfig config_;
  Index locations_;
  Parameters<float, Device> parameters_;
  Encoder<float, Device> encoder_;
  Kokkos::View<float*, Device> input_;
  Workspace<Device> workspace_;
};

}  // namespace dchag::benchmarks
