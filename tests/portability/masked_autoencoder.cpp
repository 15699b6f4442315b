#include <algorithm>
#include <dchag/models/scene.hpp>
#include <span>

#include "train.hpp"

using namespace dchag;
using portability::train_masked_autoencoder;

/// A scene of no whole windows, answered with its features and its reconstruction.
void infer_scene() {
  using Model = MaskedAutoencoder<>;
  Model model(Mesh(), {.channels = 12,
                       .height = 8,
                       .width = 8,
                       .patch = 2,
                       .embed = 16,
                       .heads = 2,
                       .depth = 1,
                       .decoder = {.embed = 8, .heads = 2, .depth = 1}});
  SceneInference<Model> inference(model, 11, 13, std::vector<ChannelStatistics>(12, {"band", 0, 1}));
  auto const read = [](Window const& window, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(window.top + window.left) + 0.1f;
  };
  auto const write = [](Window const&, std::span<float const> values) {
    require(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }),
            "portability: a scene is not answered");
  };
  inference.features(read, write);
  inference.reconstruct(read, write);
}

int main(int argc, char** argv) {
  return run(argc, argv, [](Environment&) {
    infer_scene();
    train_masked_autoencoder<>();
    train_masked_autoencoder<Precision<double>, Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>,
                             Parallel<TensorSequence, GradientShard>, Join<Gather>>();
    train_masked_autoencoder<Precision<Mixed>, Tree<Linear<5>, CrossAttention<1>>, Recompute<Everything>,
                             Partition<Balanced>, Parallel<Tensor, OptimizerShard>>();
  });
}
