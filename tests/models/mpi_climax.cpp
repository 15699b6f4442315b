#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/dchag.hpp>
#include <string>
#include <vector>

#include "cases.hpp"
#include "conformance/climax_case.hpp"
#include "space.hpp"

namespace {

using namespace dchag;

template <class... More>
using Model = Forecaster<Precision<double>, dchag::Space<tests::Space>, More...>;

}  // namespace

TEST_CASE("ranks that divide channels, heads and units each load their part of ClimaX's weights") {
  Communicator const world(MPI_COMM_WORLD);
  auto const variables = tests::some_climax_variables();
  auto const config = tests::climax_config(variables);
  auto const path = tests::climax_golden("climax_f64");
  Model<> whole(Mesh(), config);
  load_climax(whole, path, variables);
  for (int models : {1, 2, 4}) {
    if (world.size() % models != 0) continue;
    CAPTURE(models);
    Model<Parallel<Tensor, FullShard>, Partition<Strided>> model(
        Mesh(world, {.model = models, .shard = world.size() / models}), config);
    load_climax(model, path, variables);
    bool same = true;
    Index held = 0;
    for (auto const& parameter : model.parameters().all()) {
      auto const& kept = parameter.kept;
      auto const here = reshape<double const*, tests::Space>(static_cast<double const*>(kept.values), kept.count);
      double const* const there = whole.parameters().find(parameter.name)->values;
      parameter.placement.runs(kept.first, kept.count, [&](Index from, Index to, Index length) {
        for (Index i = 0; i < length; ++i) same &= here(to - kept.first + i) == there[from + i];
        held += length;
      });
    }
    CHECK(same);
    CHECK(held > 0);
    CHECK(tests::message([&] {
            auto wrong = variables;
            if (world.rank() == 0) wrong.channels[0] = "2m_temperature";
            load_climax(model, path, wrong);
          }).starts_with("ClimaX variables: channels differs between the ranks: "));
  }
}
