#include <doctest/doctest.h>

#include <dchag/planning/time.hpp>

#include "planning/plans.hpp"

using namespace dchag;
using tests::Planned;
using tests::planned_config;

namespace {

/// A second for 10^6 multiply-adds, 10^6 bytes of memory, or 10^3 bytes sent; two ranks a node.
Machine slow_machine() {
  Machine machine;
  machine.name = "slow";
  machine.memory = 1e9;
  machine.float_rate = machine.double_rate = machine.loop_rate = machine.bandwidth = 1e6;
  machine.bfloat16_rate = 4e6;
  machine.node = {0, 1e3};
  machine.network = {0, 1e2};
  machine.ranks_a_node = 2;
  return machine;
}

/// A plan of that work alone.
template <class Tell>
Plan plan_of(int ranks, Tell const& tell) {
  Plan plan;
  plan.ranks = ranks;
  tell(plan.work);
  return plan;
}

}  // namespace

TEST_CASE("a device's product takes the longer of its operations and its operands, as loops do, and each is started") {
  Machine machine = slow_machine();
  machine.launch = 0.5;
  Plan const two = plan_of(1, [](Work& work) { work.product(2, 100, 1000, 100, 4, 2); });  // 2 x 10^7 multiply-adds
  CHECK(planned_time(two, machine).products == doctest::Approx(2 * 0.5 + 20));             // a device starts each
  auto const thin = planned_time(plan_of(1, [](Work& work) { work.product(1, 1000, 1, 1000, 4, 1); }), machine);
  CHECK(thin.products == doctest::Approx(0.5 + 4.008));
  auto const loops = planned_time(plan_of(1,
                                          [](Work& work) {
                                            work.loop("a", {3e6, 1e6});
                                            work.loop("b", {1e6, 5e6});
                                          }),
                                  machine);
  CHECK(loops.loops == doctest::Approx(1 + 3 + 5));
  CHECK(loops.step == doctest::Approx(9));
}

TEST_CASE("a host's products take their operations and their operands, and are started together") {
  Machine machine = slow_machine();
  machine.launch = 0.5;
  machine.device = false;
  Plan const two = plan_of(1, [](Work& work) { work.product(2, 100, 1000, 100, 4, 2); });  // 1.68 x 10^6 bytes
  CHECK(planned_time(two, machine).products == doctest::Approx(0.5 + 20 + 1.68));
  machine.cache = 2e6;
  machine.cache_bandwidth = 1e7;
  CHECK(planned_time(two, machine).products == doctest::Approx(0.5 + 20 + 0.168));
}

TEST_CASE("a product has half its rate where the shortest of its sides is the half side, loops keep theirs") {
  Machine machine = slow_machine();
  machine.bandwidth = 1e9;
  machine.half_side = 50;
  auto const products = [&](Index rows, Index inner, Index columns) {
    return planned_time(plan_of(1, [&](Work& work) { work.product(1, rows, inner, columns, 4, 1); }), machine).products;
  };
  CHECK(products(50, 1000, 2000) == doctest::Approx(200));
  CHECK(products(1000, 50, 2000) == doctest::Approx(200));
  CHECK(products(1000, 2000, 50) == doctest::Approx(200));
  CHECK(products(150, 1000, 1000) == doctest::Approx(200));
  Plan const loop = plan_of(1, [](Work& work) { work.loop("a", {8, 5e6}); });
  CHECK(planned_time(loop, machine).loops == doctest::Approx(5));
}

TEST_CASE("a product of operands rounded to bfloat16 goes at the rate of these, and nothing else does") {
  Machine machine = slow_machine();
  machine.launch = 0.5;
  Plan const plan = plan_of(1, [](Work& work) {
    work.rounded_product(2, 100, 1000, 100, 2, 1);  // 2 x 10^7 multiply-adds in one call
    work.product(1, 100, 1000, 100, 4, 1);
    work.loop("a", {1e6, 5e6});
  });
  PlannedTime const time = planned_time(plan, machine);
  CHECK(time.products == doctest::Approx(0.5 + 5 + 0.5 + 10));
  CHECK(time.loops == doctest::Approx(0.5 + 5));
  machine.bfloat16_rate = 0;
  CHECK_THROWS_WITH_AS(planned_time(plan, machine), doctest::Contains("bfloat16_gflops = 0"), Error);
}

TEST_CASE(
    "a mixed model's step on a device has rounded products, which are faster, in the memory of float's and copies") {
  Machine const machine = known_machine("H100");
  auto config = planned_config();
  config.embed = 1024;
  PlannedStep const step{.images = 8, .device = true};
  Plan const single = dchag::plan<Planned<>>(Mesh(), config, step),
             half = dchag::plan<Planned<Precision<Mixed>>>(Mesh(), config, step);
  auto const products = [](Plan const& plan, bool rounded) {
    Index count = 0;
    for (WorkItem const& item : plan.work.items())
      if (item.kind == WorkItem::Kind::product && item.rounded == rounded) ++count;
    return count;
  };
  CHECK(products(single, false) == products(half, true));
  CHECK(products(single, true) == 0);
  CHECK(products(half, false) == 0);
  CHECK(half.product_multiply_adds() == doctest::Approx(single.product_multiply_adds()));
  CHECK(half.loop_bytes() > single.loop_bytes());  // to round
  CHECK(half.memory.parameters == single.memory.parameters);
  CHECK(half.memory.gradients == single.memory.gradients);
  CHECK(half.memory.optimizer == single.memory.optimizer);
  CHECK(half.memory.activations == single.memory.activations);
  CHECK(half.memory.workspace > single.memory.workspace);
  CHECK(planned_time(half, machine).products < planned_time(single, machine).products);
  CHECK(planned_time(half, machine).loops > planned_time(single, machine).loops);
}

TEST_CASE("operands that fit the cache arrive faster") {
  Machine machine = slow_machine();
  machine.cache = 1e5;
  machine.cache_bandwidth = 1e7;
  auto const seconds = [&](double bytes) {
    return planned_time(plan_of(1, [&](Work& work) { work.loop("a", {bytes, 0}); }), machine).loops;
  };
  CHECK(seconds(1e5) == doctest::Approx(0.01));
  CHECK(seconds(2e5) == doctest::Approx(0.2));
}

TEST_CASE("a collective takes what its links need") {
  Machine const machine = slow_machine();
  auto const seconds = [&](char const* verb, RankGroup group) {
    return planned_time(plan_of(16, [&](Work& work) { work.verb(verb, group, 1000, false); }), machine).communication;
  };
  CHECK(seconds("all_gather", {"model", 2, 1}) == doctest::Approx(1));
  CHECK(seconds("all_reduce", {"model", 2, 1}) == doctest::Approx(1));
  CHECK(seconds("reduce_scatter", {"model", 2, 1}) == doctest::Approx(0.5));
  CHECK(seconds("all_reduce", {"data", 4, 2}) == doctest::Approx(15));    // one rank of a node
  CHECK(seconds("all_reduce", {"model", 4, 1}) == doctest::Approx(7.5));  // both
}

TEST_CASE("a collective that was started goes on while kernels run, where the machine can") {
  Machine machine = slow_machine();
  Plan const plan = plan_of(2, [](Work& work) {
    RankGroup const pair{"model", 2, 1};
    auto const first = work.verb("all_gather", pair, 3000, true);
    work.loop("a", {1e6, 0});
    work.wait(first);
    auto const second = work.verb("all_gather", pair, 1000, true);
    work.loop("b", {4e6, 0});
    work.verb("all_gather", pair, 2000, false);
    work.wait(second);
  });
  PlannedTime const time = planned_time(plan, machine);
  CHECK(time.without_overlap == doctest::Approx(11));
  CHECK(time.with_overlap == doctest::Approx(3 + 4 + 2));
  CHECK(time.step == time.with_overlap);
  machine.overlaps = false;
  CHECK(planned_time(plan, machine).step == time.without_overlap);
  machine.nodes = 1;
  machine.ranks_a_node = 1;  // two ranks take turns on it
  CHECK(planned_time(plan, machine).step == doctest::Approx(22));
}

TEST_CASE("the time of a step is that of its parts") {
  Machine const machine = known_machine("MI250X die");
  auto config = planned_config();
  config.embed = 512;
  Mesh const mesh = Mesh::planned(16, {.model = 4, .shard = 2});
  Plan const plan = dchag::plan<Planned<Parallel<Tensor, FullShard>>>(mesh, config, {.images = 8});
  PlannedTime const time = planned_time(plan, machine);
  CHECK(time.products > 0);
  CHECK(time.loops > 0);
  CHECK(time.communication > 0);
  CHECK(time.without_overlap == doctest::Approx(time.products + time.loops + time.communication));
  CHECK(time.with_overlap <= time.without_overlap);
  CHECK(time.with_overlap >= time.compute());
  using Twice = Planned<Precision<double>>;
  CHECK(planned_time(dchag::plan<Twice>(Mesh(), config), machine).step >
        planned_time(dchag::plan<Planned<>>(Mesh(), config), machine).step);
  Machine without = machine;
  without.bfloat16_rate = without.double_rate = 0;
  CHECK_THROWS_WITH_AS(planned_time(dchag::plan<Twice>(Mesh(), config), without),
                       doctest::Contains("double_gflops = 0"), Error);
}
