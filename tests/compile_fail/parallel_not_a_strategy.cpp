// expect: Parallel<...> takes strategies only: Tensor, TensorSequence, Sequence or Replicated for the model axis
#include <dchag/parallel/strategy.hpp>

using Strategies = dchag::Parallel<dchag::Tensor, int>;
int main() { return sizeof(Strategies::Model); }
