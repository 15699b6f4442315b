#pragma once

#include <dchag/planning/search.hpp>
#include <string_view>
#include <vector>

#include "scenario.hpp"

namespace planner {

/// How numbers of the library's models are computed; the last word of a candidate's label.
inline constexpr std::string_view in_float = "float", in_mixed = "Mixed";

/// Model types of the library for a scenario, which differ in join, order of evaluation, strategy, sharding and
/// recomputation: flat cross-attention over all channels, the function of plain tensor parallelism. `few`: those that
/// are best on most machines, for plans of many meshes.
std::vector<dchag::Candidate> float_candidates(Scenario const& scenario, bool few);
std::vector<dchag::Candidate> mixed_candidates(Scenario const& scenario, bool few);

}  // namespace planner
