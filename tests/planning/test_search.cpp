#include <doctest/doctest.h>

#include <dchag/planning/search.hpp>
#include <string>
#include <vector>

#include "planning/plans.hpp"

using namespace dchag;
using tests::Planned;
using tests::planned_config;

namespace {

std::vector<Candidate> few_candidates() {
  auto const config = planned_config();
  return {candidate<Planned<Parallel<Tensor, FullShard>>>("tensor, sharded", config),
          candidate<Planned<Parallel<Tensor, FullShard>, Recompute<Blocks>>>("tensor, sharded, recomputed", config),
          candidate<Planned<Parallel<Replicated>>>("replicated", config)};
}

}  // namespace

TEST_CASE("of what fits the fastest is chosen, and the others are told by how much they are slower") {
  Machine const machine = known_machine("A100");
  SearchOptions const options{.goal = Goal::fastest, .ranks = {8}, .images = 16};
  SearchResult const found = search(few_candidates(), machine, options);
  REQUIRE(found.best.has_value());
  CHECK(found.best->reason.empty());
  CHECK(found.best->data() * found.best->shape.shard * found.best->shape.model == 8);
  CHECK(found.best->step.images * found.best->step.accumulate * 8 / found.best->shape.model == 16);
  REQUIRE(found.others.size() > 5);
  for (std::size_t i = 0; i < found.others.size(); ++i) {
    Choice const& other = found.others[i];
    CHECK(other.time.step >= (i == 0 ? *found.best : found.others[i - 1]).time.step);
    double const slower = found.best->images_a_second() / other.images_a_second() - 1;
    CHECK((slower < 0.0005 ? other.reason == "no faster"
                           : other.reason.find("% slower, most of it ") != std::string::npos));
    CHECK(other.shape.shard * (other.label == "replicated" ? 1 : 0) <= 1);  // it divides nothing over that axis
  }
  // What was chosen is what its plan says.
  Plan const again = few_candidates()[0].plan(Mesh::planned(8, found.best->shape), found.best->step);
  if (found.best->label == "tensor, sharded") CHECK(planned_time(again, machine).step <= found.best->time.step);
}

TEST_CASE("where memory is short, batches are cut, then ranks added, and what does not fit says why") {
  Machine machine = known_machine("A100");
  auto const most = few_candidates()[0].plan(Mesh::planned(4, {.shard = 4}), {.images = 4}).memory.total();
  machine.memory = 0.6 * static_cast<double>(most);
  SearchOptions options{.goal = Goal::fewest, .ranks = {1, 2, 4, 8, 16}, .images = 16};
  options.memory = 1;
  SearchResult const found = search(few_candidates(), machine, options);
  REQUIRE(found.best.has_value());
  CHECK(found.best->memory.total() <= machine.memory);
  REQUIRE(!found.rejected.empty());
  CHECK((found.best->ranks > 1 && found.best->ranks < 16));
  for (Choice const& choice : found.others) {
    CHECK(choice.ranks == found.best->ranks);  // more are not tried
    CHECK(choice.memory.total() <= machine.memory);
  }
  for (Choice const& choice : found.rejected) CHECK(choice.ranks <= found.best->ranks);
  bool memory_reason = false;
  for (Choice const& choice : found.rejected) {
    bool const memory = choice.reason.find("needs ") == 0 && choice.reason.find("may be used") != std::string::npos;
    CHECK((memory ? choice.memory.total() > machine.memory : choice.memory.total() == 0));
    memory_reason = memory_reason || memory;
  }
  CHECK(memory_reason);

  machine.memory = 1000;
  SearchResult const none = search(few_candidates(), machine, options);
  CHECK(!none.best.has_value());
  CHECK(none.others.empty());
  CHECK(!none.rejected.empty());
}

TEST_CASE("the least memory is found where it is asked for, and what cannot be built says why") {
  SearchResult const found =
      search(few_candidates(), known_machine("H100"), {.goal = Goal::fits, .ranks = {16}, .images = 16});
  REQUIRE(found.best.has_value());
  for (Choice const& other : found.others) {
    CHECK(other.memory.total() >= found.best->memory.total());
    CHECK(other.reason.find(" times the memory") != std::string::npos);
  }
  REQUIRE(!found.rejected.empty());
  for (Choice const& choice : found.rejected) {
    CHECK(choice.memory.total() == 0);
    CHECK(choice.reason.find("heads = 8 cannot be divided among the 16 ranks") == 0);
  }
}

TEST_CASE("images of every replica make meshes of more replicas do more, and images a second are compared") {
  SearchOptions options{.ranks = {8}, .images = 2, .each_replica = true};
  SearchResult const found = search(few_candidates(), known_machine("H100"), options);
  REQUIRE(found.best.has_value());
  double fewer = found.best->images_a_second();
  for (Choice const& other : found.others) {
    CHECK(other.images() == 2 * 8 / other.shape.model);
    CHECK(other.images_a_second() == doctest::Approx(static_cast<double>(other.images()) / other.time.step));
    CHECK(other.images_a_second() <= fewer);
    fewer = other.images_a_second();
  }
  CHECK(found.best->images() == 2 * 8 / found.best->shape.model);
}

TEST_CASE("one mesh alone is tried where it is given") {
  SearchOptions options{.ranks = {8}, .images = 8, .shape = MeshShape{.model = 2, .shard = 4}};
  SearchResult const found = search(few_candidates(), known_machine("H100"), options);
  REQUIRE(found.best.has_value());
  CHECK(found.others.size() == 1);  // "replicated" shards nothing
  CHECK((found.best->shape.model == 2 && found.best->shape.shard == 4));
}

TEST_CASE("the meshes of so many ranks are all factorizations into three") {
  auto const shapes = mesh_shapes(12);
  CHECK(shapes.size() == 18);
  for (MeshShape const shape : shapes) CHECK(12 % (shape.model * shape.shard) == 0);
  CHECK(mesh_shapes(12, 2, 1).size() == 2);
  CHECK(mesh_shapes(1).size() == 1);
}

TEST_CASE("a search that makes no sense is refused") {
  Machine const machine = known_machine("H100");
  auto const refused = [&](SearchOptions const& options) {
    return tests::message_of([&] { search(few_candidates(), machine, options); });
  };
  SearchResult const odd = search(few_candidates(), machine, {.ranks = {4}, .images = 3});
  REQUIRE(odd.best.has_value());
  CHECK(odd.best->shape.model == 4);
  REQUIRE(!odd.rejected.empty());
  CHECK(odd.rejected[0].reason.find("the 3 images of a step cannot be divided among 4 replicas") == 0);
  CHECK(refused({}) == "search: ranks is empty: give the numbers of ranks that a job may have");
  CHECK(refused({.ranks = {4, 0}}) == "search: ranks = 0: a job has at least 1");
  CHECK(refused({.ranks = {4}, .images = 0}) == "search: images = 0: give the images of a step, at least 1");
  CHECK(refused({.ranks = {4, 6}, .shape = MeshShape{.model = 4}}) ==
        "search: ranks = 6 are no multiple of model = 4 x shard = 1: change one of them");
  CHECK(refused({.ranks = {4}, .shape = MeshShape{.model = 0}}) ==
        "search: shape = {model 0, shard 1}: an axis has at least 1 rank");
  CHECK(refused({.ranks = {4}, .memory = 1.5}) == "search: memory = 1.5: give a share above 0, at most 1");
  CHECK(tests::message_of([&] { search({}, machine, {.ranks = {1}}); }) ==
        "search: there are no candidates: give at least one model type");
}
