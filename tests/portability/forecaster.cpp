#include "train.hpp"

using namespace dchag;
using portability::train_forecaster;

int main(int argc, char** argv) {
  return run(argc, argv, [](Environment&) {
    train_forecaster<Tree<Linear<2>, CrossAttention<1>>, Recompute<Everything>>();
    train_forecaster<Precision<double>, Evaluate<Materialized>, Tree<Linear<4>, Linear<2>, Linear<1>>>();
    train_forecaster<Precision<Mixed>, Evaluate<TokenSpace>, Recompute<Blocks>, Parallel<Replicated, Unsharded>,
                     Partition<Strided>>();
    train_forecaster<Evaluate<PatchSpace>, Recompute<Nothing>, Space<Kokkos::DefaultExecutionSpace>,
                     Parallel<Sequence, FullShard>, Join<Merge>>();
  });
}
