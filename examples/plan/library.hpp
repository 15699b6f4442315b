#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/planning/search.hpp>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "candidates.hpp"
#include "methods.hpp"

namespace planner {

/// Searches of the library's plans for a machine, each made once.
class LibraryPlans {
 public:
  LibraryPlans(dchag::Machine machine, bool few) : machine_(std::move(machine)), few_(few) {}

  bool has_mixed() const { return machine_.bfloat16_rate > 0; }

  /// Of all meshes of so many ranks, or of the one of that shape.
  dchag::SearchResult const& search(Scenario const& s, int ranks, std::optional<dchag::MeshShape> shape = {}) {
    Scenario keyed = s;
    keyed.ranks = ranks;
    auto const axes = shape.value_or(dchag::MeshShape{0, 0});
    std::string const key = dchag::dump_json(dchag::Json::array_t{keyed.json(), axes.model, axes.shard});
    auto const [place, fresh] = made_.try_emplace(key);
    if (fresh) {
      auto all = candidates(s, few_, in_float);
      if (has_mixed()) std::ranges::move(candidates(s, few_, in_mixed), std::back_inserter(all));
      dchag::SearchOptions options{.ranks = {ranks}, .images = s.batch, .each_replica = true};
      options.shape = shape;
      place->second = dchag::search(all, machine_, options);
    }
    return place->second;
  }

  /// Doubling the ranks to 1024 until something of that precision fits.
  dchag::SearchResult fewest(Scenario const& s, std::string_view precision) const {
    dchag::SearchOptions options{.goal = dchag::Goal::fewest, .ranks = {}, .images = s.batch, .each_replica = true};
    for (int ranks = 1; ranks <= 1024; ranks *= 2) options.ranks.push_back(ranks);
    return dchag::search(candidates(s, few_, precision), machine_, options);
  }

  /// What a choice takes, with the parts of a plan of its first rank.
  Way way(Scenario const& s, dchag::Choice const& choice) const {
    dchag::PlannedTime const& time = choice.time;
    Way way{choice.ranks, choice.shape, choice.label};
    way.bytes = static_cast<double>(choice.memory.total());
    way.seconds = time.step * waiting(choice.ranks);
    way.samples = static_cast<double>(choice.images()) / way.seconds;
    way.fits = way.bytes <= dchag::SearchOptions{}.memory * machine_.memory;
    dchag::Json::object_t seconds{{"products", time.products},           {"loops", time.loops},
                                  {"communication", time.communication}, {"without_overlap", time.without_overlap},
                                  {"with_overlap", time.with_overlap},   {"waiting", way.seconds - time.step}};
    way.parts = dchag::Json::object_t{{"seconds", std::move(seconds)}};
    for (dchag::Candidate const& candidate : candidates(s, few_, precision_of(choice)))
      if (candidate.label == choice.label && choice.memory.total() > 0)
        way.parts["plan"] = to_json(candidate.plan(dchag::Mesh::planned(choice.ranks, choice.shape), choice.step));
    return way;
  }

  static std::string_view precision_of(dchag::Choice const& choice) {
    return choice.label.ends_with(in_mixed) ? in_mixed : in_float;
  }

 private:
  /// Ranks wait for the slowest node as the authors' do: no code escapes that.
  double waiting(int ranks) const {
    dchag::PublishedMachine const theirs;
    Index const nodes = dchag::ceil_div(ranks, machine_.ranks_a_node);
    return 1 + theirs.node * static_cast<double>(std::min(nodes, theirs.largest_nodes) - 1);
  }

  dchag::Machine machine_;
  bool few_;
  std::map<std::string, dchag::SearchResult> made_;
};

/// The library in one precision.
class Library final : public Method {
 public:
  Library(std::shared_ptr<LibraryPlans> plans, std::string_view precision)
      : plans_(std::move(plans)), precision_(precision) {}

  std::string name() const override { return "dchag, " + std::string(precision_); }

  Ways over(Scenario const& scenario, int ranks) const override {
    return best(scenario, plans_->search(scenario, ranks));
  }

  std::optional<Way> on(Scenario const& scenario, int ranks, dchag::MeshShape shape) const override {
    Ways ways = best(scenario, plans_->search(scenario, ranks, shape));
    return ways.fastest ? ways.fastest : ways.least;
  }

  std::optional<Way> fewest(Scenario const& scenario) const override {
    auto const found = plans_->fewest(scenario, precision_).best;
    return found ? std::optional(plans_->way(scenario, *found)) : std::nullopt;
  }

 private:
  Ways best(Scenario const& scenario, dchag::SearchResult const& found) const {
    dchag::Choice const *least = nullptr, *fastest = nullptr;
    auto const offer = [&](dchag::Choice const& choice, bool fits) {
      std::size_t const bytes = choice.memory.total();
      if (bytes == 0 || LibraryPlans::precision_of(choice) != precision_) return;
      if (least == nullptr || bytes < least->memory.total()) least = &choice;
      if (fits && fastest == nullptr) fastest = &choice;  // the fastest come first
    };
    if (found.best) offer(*found.best, true);
    for (dchag::Choice const& other : found.others) offer(other, true);
    for (dchag::Choice const& rejected : found.rejected) offer(rejected, false);
    Ways ways;
    if (least != nullptr) ways.least = plans_->way(scenario, *least);
    if (fastest != nullptr) ways.fastest = plans_->way(scenario, *fastest);
    return ways;
  }

  std::shared_ptr<LibraryPlans> plans_;
  std::string_view precision_;
};

}  // namespace planner
