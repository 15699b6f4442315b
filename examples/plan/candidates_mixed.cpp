#include "candidate_types.hpp"
#include "candidates.hpp"

namespace planner {

std::vector<dchag::Candidate> mixed_candidates(Scenario const& scenario, bool few) {
  return candidates_of<dchag::Precision<dchag::Mixed>>(scenario, few, in_mixed);
}

}  // namespace planner
