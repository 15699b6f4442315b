#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <dchag/core/error.hpp>
#include <dchag/planning/plan.hpp>
#include <dchag/planning/time.hpp>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace dchag {

/// A model type with its policies (join, order of evaluation, strategies, recomputation, precision), which a search
/// tries on meshes. See candidate().
struct Candidate {
  std::string label;  // what its policies are, for the answer
  std::function<Plan(Mesh const&, PlannedStep const&)> plan;
};

/// A Model of that configuration.
template <TrainableModel Model>
Candidate candidate(std::string label, typename Model::Config config, BuildOptions options = {}) {
  return {std::move(label),
          [config = std::move(config), options = std::move(options)](Mesh const& mesh, PlannedStep const& step) {
            return dchag::plan<Model>(mesh, config, step, options);
          }};
}

enum class Goal {
  fits,     // the least memory a rank
  fastest,  // the most images a second
  fewest    // the fewest ranks that it fits on, and of these ways the most images a second
};

/// What is searched.
struct SearchOptions {
  Goal goal = Goal::fastest;
  std::vector<int> ranks;            // numbers of ranks that a job may have
  Index images = 1;                  // of a step, on all replicas together
  bool each_replica = false;         // images are those of every replica instead
  Index leads = 1;                   // forecasts of an image
  std::optional<MeshShape> shape{};  // of the only mesh that is tried; none: all are, up to
  int largest_model = 64;            // ranks of the model axis
  int largest_shard = 64;            // and of the shard axis
  double memory = 0.9;  // share of a machine's memory that a plan may take: MPI, BLAS and the like need some too

  /// Throws where a field makes no sense.
  void check() const {
    require(!ranks.empty(), "search: ranks is empty: give the numbers of ranks that a job may have");
    for (int count : ranks) require(count >= 1, "search: ranks = ", count, ": a job has at least 1");
    require(images >= 1, "search: images = ", images, ": give the images of a step, at least 1");
    require(leads >= 1, "search: leads = ", leads, ": give at least 1");
    if (shape) {
      require(shape->model >= 1 && shape->shard >= 1, "search: shape = {model ", shape->model, ", shard ", shape->shard,
              "}: an axis has at least 1 rank");
      for (int count : ranks)
        require(count % (shape->model * shape->shard) == 0, "search: ranks = ", count,
                " are no multiple of model = ", shape->model, " x shard = ", shape->shard, ": change one of them");
    }
    require(largest_model >= 1, "search: largest_model = ", largest_model, ": give at least 1");
    require(largest_shard >= 1, "search: largest_shard = ", largest_shard, ": give at least 1");
    require(memory > 0 && memory <= 1, "search: memory = ", memory, ": give a share above 0, at most 1");
  }
};

/// A way to run a step: one candidate on one mesh.
struct Choice {
  std::string label;
  int ranks = 1;
  MeshShape shape;
  PlannedStep step;
  PlannedMemory memory;  // of the rank with the most, of the ranks 0 and last of a replica
  PlannedTime time;
  std::string reason{};  // why it is not the best; empty for the best

  int data() const { return ranks / (shape.model * shape.shard); }
  /// Of a step, on all replicas.
  Index images() const { return step.images * step.accumulate * (ranks / shape.model); }
  double images_a_second() const { return static_cast<double>(images()) / time.step; }
};

/// One line: label, mesh and batches.
inline std::string describe(Choice const& choice) {
  std::ostringstream line;
  line << choice.label << ", data " << choice.data() << " x shard " << choice.shape.shard << " x model "
       << choice.shape.model << ", " << choice.step.accumulate << (choice.step.accumulate == 1 ? " batch" : " batches")
       << " of " << choice.step.images;
  return line.str();
}

struct SearchResult {
  std::optional<Choice> best;    // none: nothing fits
  std::vector<Choice> others;    // that fit, from the next best on, each with its reason
  std::vector<Choice> rejected;  // that do not fit or cannot be built, those that need least memory first
  std::size_t plans = 0;         // that were made
};

/// Shapes of all meshes that so many ranks make, with axes of at most so many: the data axis is what is left over.
inline std::vector<MeshShape> mesh_shapes(int ranks, int largest_model = 64, int largest_shard = 64) {
  std::vector<MeshShape> all;
  for (int model = 1; model <= std::min(ranks, largest_model); ++model) {
    if (ranks % model != 0) continue;
    for (int shard = 1; shard <= std::min(ranks / model, largest_shard); ++shard)
      if (ranks / model % shard == 0) all.push_back({model, shard});
  }
  return all;
}

namespace detail {

inline std::string gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g GiB", bytes / (1024.0 * 1024 * 1024));
  return text;
}

/// The largest part of a rank's memory, and what makes it smaller.
inline std::string memory_reason(Choice const& choice, double allowed) {
  PlannedMemory const& m = choice.memory;
  std::pair<std::size_t, char const*> const parts[] = {
      {m.parameters, "parameters: more shard ranks with FullShard, or more model ranks, make them fewer"},
      {m.gradients, "gradients: more shard ranks with GradientShard, or more model ranks, make them fewer"},
      {m.optimizer, "optimizer state: more shard ranks with OptimizerShard make it less"},
      {m.communication, "rooms for whole units: smaller units or more model ranks make them fewer"},
      {m.activations, "kept activations: more model ranks, more batches of fewer images, or Recompute make them fewer"},
      {m.workspace, "temporaries: more batches of fewer images make them fewer"},
      {m.input, "input: more model ranks, or more batches of fewer images, make it less"}};
  auto const& largest = *std::max_element(std::begin(parts), std::end(parts));
  return "needs " + gib(static_cast<double>(m.total())) + " where " + gib(allowed) + " may be used, " +
         gib(static_cast<double>(largest.first)) + " of it " + largest.second;
}

/// Why one that fits is not the best.
inline std::string slower_reason(Choice const& choice, Choice const& best, Goal goal) {
  char text[160];
  if (goal == Goal::fits) {
    std::snprintf(text, sizeof text, "needs %.2f times the memory",
                  static_cast<double>(choice.memory.total()) / static_cast<double>(best.memory.total()));
    return text;
  }
  double const slower = best.images_a_second() / choice.images_a_second() - 1;
  if (slower < 0.0005) return "no faster";
  // Of an image, since meshes may have different numbers of replicas.
  double const images = static_cast<double>(choice.images()), others = static_cast<double>(best.images());
  PlannedTime const &own = choice.time, &other = best.time;
  double const products = own.products / images - other.products / others,
               loops = own.loops / images - other.loops / others,
               exposed = (own.step - own.compute()) / images - (other.step - other.compute()) / others;
  char const* const most = exposed >= products && exposed >= loops ? "waiting for other ranks"
                           : products >= loops                     ? "products"
                                                                   : "passes over memory";
  std::snprintf(text, sizeof text, "%.1f%% slower, most of it %s", 100 * slower, most);
  return text;
}

/// One search under way.
class Search {
 public:
  Search(Machine const& machine, SearchOptions const& options)
      : machine_(machine), options_(options), allowed_(options.memory * machine.memory) {}

  void try_mesh(Candidate const& candidate, int ranks, MeshShape shape) {
    Choice choice;
    choice.label = candidate.label;
    choice.ranks = ranks;
    choice.shape = shape;
    Index const replicas = options_.each_replica ? 1 : ranks / shape.model, each = options_.images / replicas;
    if (options_.images % replicas != 0)
      return reject(choice, "the " + std::to_string(options_.images) + " images of a step cannot be divided among " +
                                std::to_string(replicas) + " replicas: give a multiple, or use more model ranks");
    for (Index accumulate = 1; accumulate <= each; ++accumulate) {
      if (each % accumulate != 0) continue;
      choice.step = {
          .images = each / accumulate, .leads = options_.leads, .accumulate = accumulate, .device = machine_.device};
      if (try_step(candidate, choice)) return;
    }
  }

  bool found() const { return !result_.others.empty(); }

  SearchResult finish() {
    auto const better = [&](Choice const& a, Choice const& b) {
      if (options_.goal == Goal::fits) return a.memory.total() < b.memory.total();
      return a.images_a_second() > b.images_a_second();
    };
    std::stable_sort(result_.others.begin(), result_.others.end(), better);
    if (!result_.others.empty()) {
      result_.best = result_.others.front();
      result_.others.erase(result_.others.begin());
    }
    for (Choice& other : result_.others) other.reason = slower_reason(other, *result_.best, options_.goal);
    auto const need = [](Choice const& choice) {
      std::size_t const bytes = choice.memory.total();
      return bytes == 0 ? static_cast<std::size_t>(-1) : bytes;
    };
    std::stable_sort(result_.rejected.begin(), result_.rejected.end(),
                     [&](Choice const& a, Choice const& b) { return need(a) < need(b); });
    return std::move(result_);
  }

 private:
  void reject(Choice choice, std::string reason) {
    choice.reason = std::move(reason);
    result_.rejected.push_back(std::move(choice));
  }

  /// Whether smaller batches need not be tried: it fits, cannot be built, or is too large whatever the batch.
  bool try_step(Candidate const& candidate, Choice choice) {
    // Uneven shares are longest on the first ranks, and what is left over is on the last.
    std::vector<int> of_replica{0};
    if (choice.shape.model > 1) of_replica.push_back(choice.shape.model - 1);
    try {
      for (int const rank : of_replica) {
        Plan plan = candidate.plan(Mesh::planned(choice.ranks, choice.shape, rank), choice.step);
        ++result_.plans;
        if (choice.shape.shard > 1 && plan.slices == 1) return true;  // the shard axis is one more data axis
        if (plan.memory.total() > choice.memory.total()) choice.memory = plan.memory;
        PlannedTime const time = planned_time(plan, machine_);
        if (time.step > choice.time.step) choice.time = time;
      }
    } catch (Error const& error) {
      choice.memory = {};
      reject(std::move(choice), error.what());
      return true;
    }
    PlannedMemory const m = choice.memory;
    if (static_cast<double>(m.total()) <= allowed_) {
      result_.others.push_back(std::move(choice));
      return true;
    }
    std::string reason = memory_reason(choice, allowed_);
    reject(std::move(choice), std::move(reason));
    return static_cast<double>(m.parameters + m.gradients + m.optimizer + m.communication) > allowed_;
  }

  Machine const& machine_;
  SearchOptions const& options_;
  double allowed_;
  SearchResult result_;
};

}  // namespace detail

/// Plans every candidate on every mesh of data x shard x model that its ranks make, with as few batches a step as fit,
/// and answers the best for the goal, with the reason why each other is not. Shard axes over which a candidate divides
/// nothing are left out: they are data axes. Where the fewest ranks are asked for, numbers above the first that
/// something fits on are not tried.
inline SearchResult search(std::vector<Candidate> const& candidates, Machine const& machine,
                           SearchOptions const& options) {
  machine.check();
  options.check();
  require(!candidates.empty(), "search: there are no candidates: give at least one model type");
  detail::Search search(machine, options);
  std::vector<int> counts = options.ranks;
  if (options.goal == Goal::fewest) std::sort(counts.begin(), counts.end());
  for (int const ranks : counts) {
    auto const shapes =
        options.shape ? std::vector{*options.shape} : mesh_shapes(ranks, options.largest_model, options.largest_shard);
    for (MeshShape const shape : shapes)
      for (Candidate const& candidate : candidates) search.try_mesh(candidate, ranks, shape);
    if (options.goal == Goal::fewest && search.found()) break;
  }
  return search.finish();
}

}  // namespace dchag
