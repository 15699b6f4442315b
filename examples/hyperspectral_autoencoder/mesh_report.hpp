#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <string>
#include <vector>

namespace pines {

using dchag::Index;

struct Verb {
  char const* name;
  dchag::Traffic::Verb dchag::Traffic::*count;
};
inline constexpr std::array verbs{
    Verb{"all_reduce", &dchag::Traffic::all_reduce}, Verb{"all_gather", &dchag::Traffic::all_gather},
    Verb{"reduce_scatter", &dchag::Traffic::reduce_scatter}, Verb{"all_to_all", &dchag::Traffic::all_to_all},
    Verb{"broadcast", &dchag::Traffic::broadcast}};

/// Bytes by verb.
using Sent = std::array<Index, verbs.size()>;

/// What this rank has sent so far, over all axes of a mesh.
inline Sent sent(dchag::Mesh const& mesh) {
  Sent bytes{};
  for (auto const* axis : {&mesh.world(), &mesh.model(), &mesh.shard(), &mesh.data(), &mesh.replicas()})
    for (std::size_t i = 0; i < verbs.size(); ++i) bytes[i] += (axis->traffic().*verbs[i].count).bytes;
  return bytes;
}

/// What training asks of one rank.
struct Needs {
  std::vector<Index> bands;
  Index parameters = 0;       // that it holds
  std::size_t read = 0;       // bytes, of bands, from storage
  std::size_t crops = 0;      // bytes of a batch
  std::size_t weights = 0;    // bytes of parameters and gradients, and of room to exchange them
  std::size_t moments = 0;    // bytes, of the optimizer
  std::size_t workspace = 0;  // bytes
  Sent sent{};                // bytes in a step

  dchag::Json json() const {
    std::string ranges;
    for (auto const& [begin, count] : dchag::channels::ranges_of(bands)) {
      ranges += (ranges.empty() ? "" : ",") + std::to_string(begin);
      if (count > 1) ranges += "-" + std::to_string(begin + count - 1);
    }
    dchag::Json by_verb = dchag::Json::object();
    for (std::size_t i = 0; i < verbs.size(); ++i) by_verb[verbs[i].name] = sent[i];
    return {{"bands", ranges},
            {"parameters", parameters},
            {"read_bytes", read},
            {"crops_bytes", crops},
            {"weights_bytes", weights},
            {"moments_bytes", moments},
            {"workspace_bytes", workspace},
            {"sent_bytes", std::move(by_verb)}};
  }
};

/// What one rank alone needs for steps of that many crops, but for what it reads: found by a model without storage and
/// a step over sizes alone.
template <class Model>
Needs needs_of_one(dchag::MaskedAutoencoderConfig const& config, Index batch) {
  using Space = typename Model::Space;
  using Scalar = typename Model::Scalar;
  Model plan(dchag::Mesh(), config, {.storage = false});
  dchag::Workspace<Space> measuring;
  dchag::Context<Space> const dry(measuring);
  typename Model::Batch const crops{
      dchag::reshape<Scalar const****, Space>(static_cast<Scalar const*>(nullptr), batch, config.channels,
                                              config.height, config.width),
      dchag::reshape<Index const**, Space>(static_cast<Index const*>(nullptr), batch, config.kept())};
  plan.gradients(dry, crops, 1.0);
  dchag::gradient_norm(dry, plan.parameters());
  plan.evaluate(dry, crops);

  std::size_t numbers = 0;
  for (auto const& unit : plan.parameters().units()) numbers += static_cast<std::size_t>(unit.size);
  Needs needs;
  needs.bands = plan.own_channels();
  needs.parameters = plan.parameters().count();
  needs.crops = crops.images.size() * sizeof(Scalar) + crops.keep.size() * sizeof(Index);
  needs.weights = needs.moments = 2 * numbers * sizeof(Scalar);
  needs.workspace = measuring.peak();
  return needs;
}

/// Prints a line for each rank, below one for a single rank with all of the work.
inline void print_needs(dchag::Json const& one, std::vector<dchag::Json> const& ranks) {
  std::vector<char const*> used;
  for (Verb const& verb : verbs)
    if (std::any_of(ranks.begin(), ranks.end(), [&](dchag::Json const& rank) {
          return dchag::json_get<Index>(dchag::json_at(rank, "sent_bytes"), verb.name) > 0;
        }))
      used.push_back(verb.name);
  std::printf("  %-9s %-15s %12s   %-47s%s\n", "", "", "", "MiB", used.empty() ? "" : "KiB sent a step");
  std::printf("  %-9s %-15s %12s %8s %8s %9s %9s %9s", "", "bands", "parameters", "read", "crops", "weights*",
              "moments", "workspace");
  for (char const* name : used) std::printf(" %14s", name);
  std::printf("\n");
  auto const line = [&](std::string const& name, dchag::Json const& needs) {
    auto const mebi = [&](char const* field) { return dchag::json_get<double>(needs, field) / (1 << 20); };
    std::printf("  %-9s %-15s %12lld %8.2f %8.2f %9.2f %9.2f %9.2f", name.c_str(),
                dchag::json_get<std::string>(needs, "bands").c_str(),
                static_cast<long long>(dchag::json_get<Index>(needs, "parameters")), mebi("read_bytes"),
                mebi("crops_bytes"), mebi("weights_bytes"), mebi("moments_bytes"), mebi("workspace_bytes"));
    for (char const* verb : used)
      std::printf(" %14.1f", dchag::json_get<double>(dchag::json_at(needs, "sent_bytes"), verb) / 1024);
    std::printf("\n");
  };
  line("one rank", one);
  for (std::size_t r = 0; r < ranks.size(); ++r) line("rank " + std::to_string(r), ranks[r]);
  std::printf("  * parameters and gradients, and room to exchange them\n");
}

/// Prints, on the first rank, the mesh and what it asks of each rank, beside one rank alone; answers that on every
/// rank. All ranks of the mesh call it.
template <class Model>
dchag::Json report_mesh(dchag::Mesh const& mesh, dchag::MaskedAutoencoderConfig const& config, Index batch,
                        Needs const& own) {
  std::vector<dchag::Json> ranks;
  for (std::string const& text : mesh.world().all_gather(dchag::dump_json(own.json())))
    ranks.push_back(dchag::parse_json(text, "needs of a rank"));
  Needs one = needs_of_one<Model>(config, batch);
  one.read = mesh.model().all_reduce(own.read);
  if (mesh.world().rank() == 0) {
    std::printf("\nMesh: %d ranks = %d data x %d shard x %d model; %lld crops a step, %lld of them a replica.\n",
                mesh.world().size(), mesh.data().size(), mesh.shard().size(), mesh.model().size(),
                static_cast<long long>(batch), static_cast<long long>(batch / mesh.replicas().size()));
    print_needs(one.json(), ranks);
  }
  return {{"data", mesh.data().size()},
          {"shard", mesh.shard().size()},
          {"model", mesh.model().size()},
          {"one_rank", one.json()},
          {"ranks", std::move(ranks)}};
}

}  // namespace pines
