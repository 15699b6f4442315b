#pragma once

#include <dchag/core/types.hpp>

namespace dchag {

/// What a training step did: what progress bars, logs and a user's own callback are given.
struct StepReport {
  Index step = 0;                 // steps taken, this one included
  Index total = 0;                // steps of the whole run, 0 where unknown
  double loss = 0;                // mean over the batches of the step and over all replicas
  double learning_rate = 0;       // used in the step
  double gradient_norm = 0;       // before clipping; not a number where it was not computed
  double seconds = 0;             // the step took, from its first batch on
  double samples_per_second = 0;  // images of all replicas
};

}  // namespace dchag
