#pragma once

#include <algorithm>
#include <array>
#include <dchag/dchag.hpp>
#include <dchag/planning/plan.hpp>
#include <dchag/planning/published.hpp>
#include <dchag/planning/time.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scenario.hpp"

namespace planner {

/// A way to train a scenario's model on a mesh, and what it takes.
struct Way {
  int ranks = 1;
  dchag::MeshShape shape;
  std::string strategy{};  // of the transformer, where there is a choice
  double bytes = 0;        // of a GPU
  double seconds = 0;      // of a step
  double samples = 0;      // a second, of the whole job
  bool fits = false;
  dchag::Json parts{};  // of memory and time

  int data() const { return ranks / (shape.model * shape.shard); }
};

/// Meshes that are tried: model axes of up to 64 ranks that divide heads and job, shard axes of powers of two, or of
/// all ranks that are left, up to 64.
inline std::vector<dchag::MeshShape> meshes(Scenario const& scenario, int ranks) {
  std::vector<dchag::MeshShape> all;
  for (int model = 1; model <= std::min(64, ranks); ++model) {
    if (ranks % model != 0 || scenario.heads % model != 0) continue;
    int const rest = ranks / model;
    int shard = 1;
    for (; shard <= 64 && rest % shard == 0; shard *= 2) all.push_back({model, shard});
    if (rest <= 64 && shard <= rest) all.push_back({model, rest});
  }
  return all;
}

/// A method: how it trains a scenario's model on a mesh; nothing where it cannot be divided so.
class Method {
 public:
  virtual ~Method() = default;
  virtual std::string name() const = 0;
  virtual std::optional<Way> on(Scenario const& scenario, int ranks, dchag::MeshShape shape) const = 0;

  enum class Best { memory, speed };
  /// The best of all meshes: of least memory, whether it fits or not, or fastest of those that fit.
  std::optional<Way> best(Scenario const& scenario, int ranks, Best what) const {
    std::optional<Way> best;
    for (dchag::MeshShape const shape : meshes(scenario, ranks)) {
      auto way = on(scenario, ranks, shape);
      if (!way || (what == Best::speed && !way->fits)) continue;
      bool const better = !best || (what == Best::memory ? way->bytes < best->bytes : way->samples > best->samples);
      if (better) best = std::move(way);
    }
    return best;
  }

  /// Doubling the ranks until one replica fits; nothing where 1024 are not enough.
  std::optional<Way> fewest(Scenario const& scenario) const {
    for (int ranks = 1; ranks <= 1024; ranks *= 2) {
      if (auto way = best(scenario, ranks, Best::speed)) return way;
    }
    return std::nullopt;
  }
};

/// The authors' PyTorch code on their machine.
class Published final : public Method {
 public:
  explicit Published(dchag::PublishedMethod method) : method_(method) {}

  std::string name() const override { return dchag::name_of(method_); }

  std::optional<Way> on(Scenario const& s, int ranks, dchag::MeshShape shape) const override {
    dchag::PublishedRun run{.method = method_,
                            .channels = s.channels,
                            .embed = s.embed,
                            .depth = s.depth,
                            .heads = s.heads,
                            .height = s.height,
                            .width = s.width,
                            .patch = s.patch,
                            .batch = s.batch,
                            .tensor = shape.model,
                            .shard = shape.shard,
                            .data = ranks / (shape.model * shape.shard)};
    if (run.divides_channels() && s.channels % shape.model != 0) return std::nullopt;
    dchag::PublishedProfile const profile(run);
    dchag::PublishedBytes const& memory = profile.memory().peak();
    dchag::PublishedSeconds const& time = profile.seconds();
    Way way{ranks, shape};
    way.bytes = memory.all();
    way.seconds = time.all();
    way.samples = profile.samples_per_second();
    way.fits = profile.fits();
    way.parts = dchag::Json::object_t{{"parameters_of_model", profile.parameters().model(shape.model)},
                                      {"memory", dchag::Json::object_t{{"parameters", memory.parameters},
                                                                       {"gradients", memory.gradients},
                                                                       {"optimizer", memory.optimizer},
                                                                       {"half_copies", memory.half_copies},
                                                                       {"tokens", memory.tokens},
                                                                       {"aggregation", memory.aggregation},
                                                                       {"blocks", memory.blocks},
                                                                       {"head", memory.head},
                                                                       {"communication", memory.communication}}},
                                      {"seconds", dchag::Json::object_t{{"tokens", time.tokens},
                                                                        {"aggregation", time.aggregation},
                                                                        {"blocks", time.blocks},
                                                                        {"head", time.head},
                                                                        {"communication", time.communication},
                                                                        {"sharding", time.sharding},
                                                                        {"optimizer", time.optimizer},
                                                                        {"overhead", time.overhead},
                                                                        {"waiting", time.waiting},
                                                                        {"stall", time.stall}}},
                                      {"reserved", profile.reserved()},
                                      {"multiply_adds", profile.work().all()},
                                      {"teraflops", profile.teraflops()}};
    return way;
  }

 private:
  dchag::PublishedMethod method_;
};

/// Plans of the library, each made once: flat cross-attention over all channels, the function of plain tensor
/// parallelism, merged over the ranks in the cheapest order of evaluation, blocks computed again.
class LibraryPlans {
 public:
  explicit LibraryPlans(dchag::Machine machine) : machine_(std::move(machine)) {}

  dchag::Machine const& machine() const { return machine_; }

  /// In float and in mixed precision; nothing where the machine knows no rate of it or the mesh does not divide the
  /// model.
  using Ways = std::array<std::optional<Way>, 2>;
  Ways const& ways(Scenario const& scenario, int ranks, dchag::MeshShape shape) {
    Scenario keyed = scenario;
    keyed.ranks = ranks;
    std::string const key = dchag::dump_json(dchag::Json::array_t{keyed.json(), shape.model, shape.shard});
    auto const [place, fresh] = made_.try_emplace(key);
    if (fresh && scenario.channels >= shape.model) {
      add<dchag::Tensor>("Tensor", scenario, ranks, shape, place->second);
      if (shape.model > 1) add<dchag::TensorSequence>("TensorSequence", scenario, ranks, shape, place->second);
    }
    return place->second;
  }

 private:
  /// Plans with one strategy, and keeps it where it is the better: fitting, then faster.
  template <class Strategy>
  void add(char const* label, Scenario const& s, int ranks, dchag::MeshShape shape, Ways& ways) const {
    using Model = dchag::Forecaster<dchag::Tree<dchag::CrossAttention<1>>, dchag::Join<dchag::Merge>,
                                    dchag::Parallel<Strategy, dchag::FullShard>, dchag::Recompute<dchag::Blocks>>;
    dchag::ForecasterConfig const config{.channels = s.channels,
                                         .out_channels = s.channels,
                                         .height = s.height,
                                         .width = s.width,
                                         .patch = s.patch,
                                         .embed = s.embed,
                                         .heads = s.heads,
                                         .depth = s.depth,
                                         .decoder_depth = 2};
    dchag::PlannedStep const step{.images = s.batch, .device = machine_.device};
    dchag::Plan const plan = dchag::plan<Model>(dchag::Mesh::planned(ranks, shape), config, step);
    auto const offer = [&](dchag::Plan const& offered, std::optional<Way>& best) {
      Way way = judge(label, offered, ranks, shape);
      bool const better = !best || (way.fits && (!best->fits || way.samples > best->samples));
      if (better) best = std::move(way);
    };
    offer(plan, ways[0]);
    if (machine_.bfloat16_rate > 0) offer(dchag::mixed(plan), ways[1]);
  }

  Way judge(char const* label, dchag::Plan const& plan, int ranks, dchag::MeshShape shape) const {
    dchag::PlannedTime const time = dchag::planned_time(plan, machine_);
    Way way{ranks, shape, label};
    way.bytes = static_cast<double>(plan.memory.total());
    way.seconds = time.step * waiting(ranks);
    way.samples = static_cast<double>(plan.images()) / way.seconds;
    way.fits = way.bytes <= 0.9 * machine_.memory;
    dchag::Json::object_t seconds{{"products", time.products},           {"loops", time.loops},
                                  {"communication", time.communication}, {"without_overlap", time.without_overlap},
                                  {"with_overlap", time.with_overlap},   {"waiting", way.seconds - time.step}};
    way.parts = dchag::Json::object_t{{"plan", to_json(plan)}, {"seconds", std::move(seconds)}};
    return way;
  }

  /// Ranks wait for the slowest node as the authors' do: no code escapes that.
  double waiting(int ranks) const {
    dchag::PublishedMachine const theirs;
    Index const nodes = dchag::ceil_div(ranks, machine_.ranks_a_node);
    return 1 + theirs.node * static_cast<double>(std::min(nodes, theirs.largest_nodes) - 1);
  }

  dchag::Machine machine_;
  std::map<std::string, Ways> made_;
};

/// The library, in the numbers of its models or as if in mixed precision.
class Library final : public Method {
 public:
  Library(std::shared_ptr<LibraryPlans> plans, dchag::Numbers numbers) : plans_(std::move(plans)), numbers_(numbers) {}

  std::string name() const override { return mixed() ? "dchag, if in bfloat16" : "dchag, float"; }

  std::optional<Way> on(Scenario const& scenario, int ranks, dchag::MeshShape shape) const override {
    return plans_->ways(scenario, ranks, shape)[mixed() ? 1 : 0];
  }

 private:
  bool mixed() const { return numbers_ == dchag::Numbers::mixed; }

  std::shared_ptr<LibraryPlans> plans_;
  dchag::Numbers numbers_;
};

}  // namespace planner
