#include <doctest/doctest.h>

#include <dchag/parallel/strategy.hpp>
#include <type_traits>

namespace {

using namespace dchag;

struct Pipeline {  // a user's own
  using axis = ModelAxis;
};

template <class P, class Model, class Shard>
inline constexpr bool is = std::is_same_v<typename P::Model, Model>&& std::is_same_v<typename P::Shard, Shard>;

static_assert(is<Parallel<>, Tensor, Unsharded>);
static_assert(is<Parallel<Sequence>, Sequence, Unsharded>);
static_assert(is<Parallel<FullShard>, Tensor, FullShard>);
static_assert(is<Parallel<Replicated, GradientShard>, Replicated, GradientShard>);
static_assert(is<Parallel<OptimizerShard, Sequence>, Sequence, OptimizerShard>);
static_assert(is<Parallel<Unsharded, Pipeline>, Pipeline, Unsharded>);

static_assert(ModelStrategy<Tensor> && ModelStrategy<Pipeline> && !ModelStrategy<FullShard> && !ModelStrategy<int>);
static_assert(ShardStrategy<FullShard> && !ShardStrategy<Tensor> && !ShardStrategy<int>);

}  // namespace

TEST_CASE("strategies are found on their axis in either order, with defaults") {
  CHECK(is<Parallel<OptimizerShard, Replicated>, Replicated, OptimizerShard>);
}
