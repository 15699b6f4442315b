// expect: a transformer is spread by Tensor, TensorSequence, Sequence or Replicated
#include <dchag/models/encoder.hpp>

struct Pipeline {
  using axis = dchag::ModelAxis;
};
using Space = Kokkos::DefaultHostExecutionSpace;
int main() {
  dchag::Parameters<float, Space> parameters;
  dchag::Encoder<float, Space, false, Pipeline> encoder(parameters, {.embed = 8, .heads = 2, .depth = 1});
}
