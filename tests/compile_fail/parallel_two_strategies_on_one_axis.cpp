// expect: Parallel<...> names two strategies for the model axis: leave one of them
#include <dchag/parallel/strategy.hpp>

using Strategies = dchag::Parallel<dchag::Tensor, dchag::FullShard, dchag::Sequence>;
int main() { return sizeof(Strategies::Model); }
