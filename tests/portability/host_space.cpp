// A model on the host in a program that has a device too.
#include "train.hpp"

int main(int argc, char** argv) {
  return dchag::run(argc, argv, [](dchag::Environment&) {
    portability::train_masked_autoencoder<dchag::Space<Kokkos::Serial>,
                                          dchag::Tree<dchag::Linear<2>, dchag::CrossAttention<1>>>();
  });
}
