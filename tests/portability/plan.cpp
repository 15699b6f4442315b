#include <dchag/planning/plan.hpp>
#include <dchag/planning/search.hpp>
#include <dchag/planning/time.hpp>

#include "train.hpp"

/// A step on ranks that are not there, planned as the kernels of this device ask for.
int main(int argc, char** argv) {
  return dchag::run(argc, argv, [](dchag::Environment&) {
    using Model = dchag::Forecaster<dchag::Parallel<dchag::Tensor, dchag::FullShard>>;
    dchag::Plan const plan = dchag::plan<Model>(
        dchag::Mesh::planned(8, {.model = 2, .shard = 2}),
        {.channels = 12, .out_channels = 3, .height = 8, .width = 8, .patch = 2, .embed = 16, .heads = 2, .depth = 1},
        {.images = 2});
    double const seconds = dchag::planned_time(plan, dchag::known_machine("H100")).step;
    dchag::require(plan.memory.total() > 0 && plan.bytes_sent() > 0 && seconds > 0, "portability: the plan is of ",
                   plan.memory.total(), " bytes, ", plan.bytes_sent(), " sent, ", seconds, " s");
  });
}
