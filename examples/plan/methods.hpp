#pragma once

#include <dchag/io/json.hpp>
#include <dchag/planning/published.hpp>
#include <dchag/planning/search.hpp>
#include <optional>
#include <string>
#include <utility>

#include "scenario.hpp"

namespace planner {

/// A way to train a scenario's model on a mesh, and what it takes.
struct Way {
  int ranks = 1;
  dchag::MeshShape shape;
  std::string policies{};  // where there is a choice
  double bytes = 0;        // of a GPU
  double seconds = 0;      // of a step
  double samples = 0;      // a second, of the whole job
  bool fits = false;
  dchag::Json parts{};  // of memory and time

  int data() const { return ranks / (shape.model * shape.shard); }
};

/// The best of all meshes of so many ranks.
struct Ways {
  std::optional<Way> least;    // of memory, whether it fits or not
  std::optional<Way> fastest;  // of those that fit
};

/// A method to train a scenario's model.
class Method {
 public:
  virtual ~Method() = default;
  virtual std::string name() const = 0;
  virtual Ways over(Scenario const& scenario, int ranks) const = 0;
  /// On one mesh; nothing where the model cannot be divided so.
  virtual std::optional<Way> on(Scenario const& scenario, int ranks, dchag::MeshShape shape) const = 0;

  /// Doubling the ranks until one replica fits; nothing where 1024 are not enough.
  virtual std::optional<Way> fewest(Scenario const& scenario) const {
    for (int ranks = 1; ranks <= 1024; ranks *= 2)
      if (auto way = over(scenario, ranks).fastest) return way;
    return std::nullopt;
  }
};

/// The authors' PyTorch code on their machine.
class Published final : public Method {
 public:
  explicit Published(dchag::PublishedMethod method) : method_(method) {}

  std::string name() const override { return dchag::name_of(method_); }

  Ways over(Scenario const& scenario, int ranks) const override {
    Ways best;
    for (dchag::MeshShape const shape : dchag::mesh_shapes(ranks)) {
      if (scenario.heads % shape.model != 0) continue;
      auto const way = on(scenario, ranks, shape);
      if (way && (!best.least || way->bytes < best.least->bytes)) best.least = way;
      if (way && way->fits && (!best.fastest || way->samples > best.fastest->samples)) best.fastest = way;
    }
    return best;
  }

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

}  // namespace planner
