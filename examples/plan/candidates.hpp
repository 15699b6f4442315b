#pragma once

#include <dchag/dchag.hpp>
#include <dchag/planning/search.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "scenario.hpp"

namespace planner {

/// How numbers of the library's models are computed; the last word of a candidate's label.
inline constexpr std::string_view in_float = "float", in_mixed = "Mixed";

template <class... Policies>
using Planned = dchag::Forecaster<dchag::Tree<dchag::CrossAttention<1>>, Policies...>;

/// Model types of the library for a scenario, which differ in join, order of evaluation, strategy, sharding and
/// recomputation: flat cross-attention over all channels, the function of plain tensor parallelism. `word` ends their
/// labels. `few`: those that are best on most machines, for plans of many meshes.
template <class Precision>
std::vector<dchag::Candidate> candidates_of(Scenario const& s, bool few, std::string_view word) {
  using namespace dchag;
  ForecasterConfig const config{.channels = s.channels,
                                .out_channels = s.channels,
                                .height = s.height,
                                .width = s.width,
                                .patch = s.patch,
                                .embed = s.embed,
                                .heads = s.heads,
                                .depth = s.depth,
                                .decoder_depth = 2};
  std::vector<Candidate> all;
  auto const add = [&]<class... Policies>(char const* policies) {
    all.push_back(candidate<Planned<Precision, Policies...>>(policies + std::string(word), config));
  };
  using Merged = Join<Merge>;
  using Cheapest = Evaluate<Auto>;
  using Sharded = Parallel<Tensor, FullShard>;
  using ShardedRows = Parallel<TensorSequence, FullShard>;
  add.template operator()<Merged, Cheapest, Sharded, Recompute<Blocks>>("Merge, Auto, Tensor, FullShard, Blocks, ");
  add.template operator()<Merged, Cheapest, ShardedRows, Recompute<Blocks>>(
      "Merge, Auto, TensorSequence, FullShard, Blocks, ");
  add.template operator()<Merged, Cheapest, Sharded, Recompute<Nothing>>("Merge, Auto, Tensor, FullShard, Nothing, ");
  if (few) return all;
  add.template operator()<Merged, Cheapest, ShardedRows, Recompute<Nothing>>(
      "Merge, Auto, TensorSequence, FullShard, Nothing, ");
  add.template operator()<Merged, Cheapest, Parallel<Sequence, FullShard>, Recompute<Blocks>>(
      "Merge, Auto, Sequence, FullShard, Blocks, ");
  add.template operator()<Merged, Cheapest, Parallel<Tensor, GradientShard>, Recompute<Blocks>>(
      "Merge, Auto, Tensor, GradientShard, Blocks, ");
  add.template operator()<Join<Gather>, Cheapest, Sharded, Recompute<Blocks>>(
      "Gather, Auto, Tensor, FullShard, Blocks, ");
  add.template operator()<Merged, Evaluate<Materialized>, Sharded, Recompute<Blocks>>(
      "Merge, Materialized, Tensor, FullShard, Blocks, ");
  add.template operator()<Merged, Cheapest, Sharded, Recompute<Everything>>(
      "Merge, Auto, Tensor, FullShard, Everything, ");
  return all;
}

inline std::vector<dchag::Candidate> candidates(Scenario const& scenario, bool few, std::string_view precision) {
  return precision == in_mixed ? candidates_of<dchag::Precision<dchag::Mixed>>(scenario, few, in_mixed)
                               : candidates_of<dchag::Precision<float>>(scenario, few, in_float);
}

}  // namespace planner
