#include "train.hpp"

using namespace dchag;
using portability::train_masked_autoencoder;

int main(int argc, char** argv) {
  return run(argc, argv, [](Environment&) {
    train_masked_autoencoder<>();
    train_masked_autoencoder<Precision<double>, Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>,
                             Parallel<TensorSequence, GradientShard>, Join<Gather>>();
    train_masked_autoencoder<Tree<Linear<5>, CrossAttention<1>>, Recompute<Everything>, Partition<Balanced>,
                             Parallel<Tensor, OptimizerShard>>();
  });
}
