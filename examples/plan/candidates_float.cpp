#include "candidate_types.hpp"
#include "candidates.hpp"

namespace planner {

std::vector<dchag::Candidate> float_candidates(Scenario const& scenario, bool few) {
  return candidates_of<dchag::Precision<float>>(scenario, few, in_float);
}

}  // namespace planner
