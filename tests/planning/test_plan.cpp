#include <doctest/doctest.h>

#include <dchag/planning/plan.hpp>
#include <string>

#include "planning/plans.hpp"

using namespace dchag;
using tests::message_of;
using tests::Planned;
using tests::planned_config;

namespace {

std::size_t allocated_bytes = 0;

}  // namespace

TEST_CASE("a plan allocates next to nothing, whatever the size of the model and of the job") {
  // The published 26 billion parameters, on Frontier.
  ForecasterConfig config{.channels = 128,
                          .out_channels = 128,
                          .height = 128,
                          .width = 256,
                          .patch = 4,
                          .embed = 8192,
                          .heads = 32,
                          .depth = 32,
                          .decoder_depth = 1};
  allocated_bytes = 0;
  Kokkos::Timer const timer;
  Kokkos::Tools::Experimental::set_allocate_data_callback(
      [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t bytes) { allocated_bytes += bytes; });
  using Model = Planned<Tree<Linear<16>, CrossAttention<1>>, Parallel<Tensor, FullShard>, Recompute<Blocks>>;
  Plan const plan = dchag::plan<Model>(Mesh::planned(10240, {.model = 16, .shard = 16}), config, {.images = 2});
  Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  CHECK(timer.seconds() < 5);
  CHECK(allocated_bytes < 100'000);
  CHECK(plan.data == 40);
  CHECK(plan.images() == 2 * 640);
  CHECK(plan.elements > 25e9);
  CHECK(plan.elements < 27e9);
  // 16 bytes a parameter that is divided among 256 ranks; the last unit of the tree and the head are among 16 alone.
  double const state = static_cast<double>(plan.memory.parameters + plan.memory.gradients + plan.memory.optimizer);
  CHECK(state > 16 * plan.elements / 256);
  CHECK(state < 1.25 * 16 * plan.elements / 256);
}

TEST_CASE("a plan counts the multiply-adds of the products") {
  using Model = Planned<Tree<Linear<1>>, Parallel<Replicated>>;
  auto config = planned_config();
  auto const of = [&](Index depth, Index images) {
    config.depth = depth;
    return plan<Model>(Mesh(), config, {.images = images}).product_multiply_adds();
  };
  double const d = 64, rows = 8 * 16, images = 2;
  // Of one block: 12 D^2 a row and two products of all rows with each other; the backward pass twice the products with
  // weights, and five of those of attention besides the forward pass's two.
  CHECK(of(3, 2) - of(2, 2) == images * (3 * rows * 12 * d * d + 7 * rows * rows * d));
}

TEST_CASE("recomputing blocks keeps less and multiplies more") {
  auto const config = planned_config();
  Plan const keeps = plan<Planned<>>(Mesh(), config, {.images = 4}),
             again = plan<Planned<Recompute<Blocks>>>(Mesh(), config, {.images = 4});
  CHECK(again.memory.activations < keeps.memory.activations / 2);
  CHECK(again.product_multiply_adds() > 1.1 * keeps.product_multiply_adds());
}

TEST_CASE("a step of a device has larger pieces, of the same work") {
  auto config = planned_config();
  config.height = config.width = 64;
  using Model = Planned<Tree<CrossAttention<1>>, Evaluate<TokenSpace>>;
  Plan const host = plan<Model>(Mesh(), config, {.images = 4}),
             device = plan<Model>(Mesh(), config, {.images = 4, .device = true});
  CHECK(device.product_multiply_adds() == doctest::Approx(host.product_multiply_adds()).epsilon(0.02));
  CHECK(device.memory.workspace > 2 * host.memory.workspace);
  CHECK(device.work.items().size() < host.work.items().size() / 3);
  CHECK(plan<Model>(Mesh(), config, {.images = 4}).memory.total() == host.memory.total());
}

TEST_CASE("strategies of the shard axis divide what they say") {
  auto const config = planned_config();
  Mesh const mesh = Mesh::planned(8, {.shard = 4});
  auto const memory = [&]<class S>(S) { return plan<Planned<Parallel<S>>>(mesh, config).memory; };
  auto const whole = memory(Unsharded()), state = memory(OptimizerShard()), gradients = memory(GradientShard()),
             values = memory(FullShard());
  CHECK(whole.communication == 0);
  CHECK(state.optimizer < 0.27 * static_cast<double>(whole.optimizer));
  CHECK(state.gradients >= whole.gradients);
  CHECK(gradients.gradients < 0.27 * static_cast<double>(whole.gradients));
  CHECK(gradients.parameters >= whole.parameters);
  CHECK(values.parameters < 0.27 * static_cast<double>(whole.parameters));
}

TEST_CASE("a plan that makes no sense is refused, with the field, the value and what to do") {
  auto const config = planned_config();
  auto const refused = [](auto const& action) { return message_of(action); };
  CHECK(refused([] { Mesh::planned(0); }) == "mesh: ranks = 0: a job has at least 1");
  CHECK(refused([] { Mesh::planned(4, {}, 4); }) == "mesh: rank = 4 of 4 ranks: give one from 0 to 3");
  CHECK(refused([] { Mesh::planned(12, {.model = 5}); }).find("mesh: model = 5 does not divide the 12 ranks") == 0);
  CHECK(refused([] { Mesh::planned(12, {.model = 2, .shard = 4}); }).find("mesh: shard = 4 does not divide the 6") ==
        0);
  CHECK(refused([&] { plan<Planned<>>(Mesh(), config, {.images = 0}); }) ==
        "planned step: images = 0: give at least 1");
  CHECK(refused([&] { plan<Planned<>>(Mesh(), config, {.images = 1, .accumulate = 0}); }) ==
        "planned step: accumulate = 0: give at least 1");
  CHECK(refused([&] { plan<Planned<>>(Mesh::planned(3, {.model = 3}), config); }).find("heads = 8 cannot be divided") ==
        0);
}

TEST_CASE("a planned communicator exchanges nothing, and a model without storage trains nothing") {
  Workspace<tests::Space> workspace(1 << 10);
  Context<tests::Space> const context(workspace);
  Communicator const ranks = Communicator::planned({"world", 4, 1}, 2);
  CHECK(ranks.rank() == 2);
  CHECK(ranks.size() == 4);
  CHECK(ranks.all_reduce(3.0) == 12.0);
  CHECK(ranks.all_reduce(3.0, Reduction::max) == 3.0);
  CHECK(ranks.traffic().all_reduce == Traffic::Verb{2, 16});
  Kokkos::View<float*, tests::Space> const values("values", 4);
  CHECK_THROWS_WITH_AS(ranks.all_reduce(context, values), doctest::Contains("no ranks to exchange data with"), Error);
  CHECK_THROWS_WITH_AS(ranks.split(0, 0), doctest::Contains("cannot be split"), Error);

  // Measuring alone counts nothing: a trainer's dry run leaves the traffic as it is.
  Workspace<tests::Space> measuring;
  ranks.all_reduce(Context<tests::Space>(measuring), values);
  CHECK(ranks.traffic().all_reduce == Traffic::Verb{2, 16});
  Work work;
  ranks.tell(&work);
  ranks.all_reduce(Context<tests::Space>(measuring, work), values);
  CHECK(ranks.traffic().all_reduce == Traffic::Verb{3, 32});
  REQUIRE(work.items().size() == 1);
  CHECK(std::string(work.items()[0].name) == "all_reduce");
  CHECK(work.items()[0].bytes == 16);
  CHECK_THROWS_WITH_AS(Context<tests::Space>(workspace, work), doctest::Contains("has storage"), Error);

  Planned<> model(Mesh(), planned_config(), {.storage = false});
  Trainer trainer(model);
  CHECK_THROWS_WITH_AS(trainer.step(planned_batch(model, {})), doctest::Contains("the model has no storage"), Error);
}

TEST_CASE("a plan as JSON says what it says") {
  Plan const plan = dchag::plan<Planned<>>(Mesh::planned(4, {.model = 2}), planned_config(), {.images = 3});
  Json const json = to_json(plan);
  CHECK(json_get<int>(json, "ranks") == 4);
  CHECK(json_get<Index>(json, "images") == 6);
  CHECK(json_get<std::size_t>(json_at(json, "memory"), "total") == plan.memory.total());
  Index sent = 0;
  for (Json const& axis : json_array(json_at(json, "traffic"), "traffic"))
    for (auto const& [name, verb] : json_object(json_at(axis, "sent"), "sent")) sent += json_get<Index>(verb, "bytes");
  CHECK(sent == plan.bytes_sent());
}
