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
    CHECK(other.reason.find("% slower, most of it ") != std::string::npos);
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
  for (Choice const& choice : found.others) {
    CHECK(choice.ranks >= found.best->ranks);
    CHECK(choice.memory.total() <= machine.memory);
    if (choice.ranks > found.best->ranks)
      CHECK(choice.reason == "takes " + std::to_string(choice.ranks) + " ranks where " +
                                 std::to_string(found.best->ranks) + " are enough");
  }
  bool memory_reason = false, heads_reason = false;
  for (Choice const& choice : found.rejected) {
    bool const memory = choice.reason.find("needs ") == 0 && choice.reason.find("may be used") != std::string::npos;
    CHECK((memory ? choice.memory.total() > machine.memory : choice.memory.total() == 0));
    memory_reason = memory_reason || memory;
    heads_reason = heads_reason || choice.reason.find("heads = 8 cannot be divided among the 16 ranks") == 0;
  }
  CHECK(memory_reason);
  CHECK(heads_reason);

  machine.memory = 1000;
  SearchResult const none = search(few_candidates(), machine, options);
  CHECK(!none.best.has_value());
  CHECK(none.others.empty());
  CHECK(!none.rejected.empty());
}

TEST_CASE("the least memory and mixed precision are found where they are asked for") {
  SearchOptions options{.goal = Goal::fits, .ranks = {8}, .images = 8};
  SearchResult const plain = search(few_candidates(), known_machine("H100"), options);
  options.mixed = true;
  SearchResult const both = search(few_candidates(), known_machine("H100"), options);
  REQUIRE((plain.best.has_value() && both.best.has_value()));
  for (Choice const& other : plain.others) CHECK(other.memory.total() >= plain.best->memory.total());
  CHECK(both.others.size() == 2 * plain.others.size() + 1);
  for (Choice const& choice : plain.rejected) CHECK(choice.memory.total() == 0);
  CHECK(both.best->numbers == Numbers::mixed);
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
  CHECK(refused({.ranks = {4}, .memory = 1.5}) == "search: memory = 1.5: give a share above 0, at most 1");
  CHECK(tests::message_of([&] { search({}, machine, {.ranks = {1}}); }) ==
        "search: there are no candidates: give at least one model type");
}
