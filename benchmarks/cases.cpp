// One case of the library, step by step, for a program that times several in turns:
//
//     benchmark_cases CASE             one of those that a call without a case names
//     mpirun -n 2 benchmark_cases CASE [--channels C]     dchag_linear_2, dchag_cross_2 or flat_2
//
// What it reads and prints: see serve() in case_protocol.hpp. Threads do not spin while it waits for a line, so that
// OMP_WAIT_POLICY=active, with which steps are fastest, disturbs nobody.
#include <cstdio>
#include <cstdlib>
#include <dchag/parallel/environment.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "case_protocol.hpp"
#include "front_end_run.hpp"
#include "training_run.hpp"
#include "trunk_run.hpp"

namespace {

using namespace dchag;
using namespace dchag::benchmarks;

/// FrontEndRun as serve() wants it.
struct FrontEndCase {
  FrontEndRun<Auto> run;
  explicit FrontEndCase(Shape const& shape) : run(shape) {}
  void step() { run.step(); }
  std::size_t held_bytes() const { return run.held_bytes(); }
  std::size_t passing_bytes() const { return run.workspace_bytes() + run.image_bytes(); }
};

MaskedAutoencoderConfig autoencoder() {
  MaskedAutoencoderConfig config;
  config.channels = 200;
  config.height = config.width = 144;
  config.patch = 8;
  config.embed = 256;
  config.heads = 8;
  config.depth = 6;
  return config;
}

using Serve = std::function<void(Environment&, std::string const&)>;

Serve serve_front_end(Shape const& shape) {
  return [shape](Environment& environment, std::string const& name) {
    serve(environment.world(), name, [&] { return std::make_unique<FrontEndCase>(shape); });
  };
}

Serve serve_forecast(Index channels) {
  return [channels](Environment& environment, std::string const& name) {
    serve(environment.world(), name,
          [&] { return std::make_unique<ForecastRun<Forecaster<>>>(Mesh(), forecast(channels)); });
  };
}

Serve serve_autoencoder(Index images) {
  return [images](Environment& environment, std::string const& name) {
    serve(environment.world(), name,
          [&] { return std::make_unique<AutoencoderRun<MaskedAutoencoder<>>>(Mesh(), autoencoder(), images); });
  };
}

void serve_trunk(Environment& environment, std::string const& name) {
  serve(environment.world(), name,
        [] { return std::make_unique<TrunkRun>(TransformerConfig{.embed = 512, .heads = 8, .depth = 8}, Index{512}); });
}

/// The published trees of two ranks and the flat one, evaluated and joined as is best.
template <class TreePolicy>
Serve serve_two_ranks(Index channels) {
  return [channels](Environment& environment, std::string const& name) {
    Communicator const& ranks = environment.world();
    require(ranks.size() == 2, "case ", name, ": started on ", ranks.size(), " ranks: use mpirun -n 2");
    Mesh const mesh(ranks, {.model = 2});
    serve(ranks, name,
          [&] { return std::make_unique<ForecastRun<Forecaster<TreePolicy>>>(mesh, small_forecast(channels)); });
  };
}

std::map<std::string, Serve> all_cases(Index channels) {
  return {{"front_end_80x4", serve_front_end({512, 80, 2, 512, 8})},
          {"front_end_500x64", serve_front_end({256, 500, 8, 512, 8})},
          {"front_end_500x256", serve_front_end({64, 500, 16, 512, 8})},
          {"front_end_200x64", serve_front_end({324, 200, 8, 256, 8})},
          {"trunk", serve_trunk},
          {"forecast", serve_forecast(80)},
          {"forecast_trunk", serve_forecast(1)},
          {"autoencoder_8", serve_autoencoder(8)},
          {"autoencoder_1", serve_autoencoder(1)},
          {"dchag_linear_2", serve_two_ranks<Tree<Linear<2>, CrossAttention<1>>>(channels)},
          {"dchag_cross_2", serve_two_ranks<Tree<CrossAttention<2>, CrossAttention<1>>>(channels)},
          {"flat_2", serve_two_ranks<Tree<CrossAttention<1>>>(channels)}};
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [&](Environment& environment) {
    std::string const name = argc > 1 ? argv[1] : "";
    bool const counts = argc > 3 && std::string(argv[2]) == "--channels";
    auto const cases = all_cases(counts ? std::atol(argv[3]) : 80);
    auto const found = cases.find(name);
    if (found == cases.end()) {
      std::string known;
      for (auto const& [one, ignored] : cases) known += " " + one;
      fail("benchmark_cases: there is no case '", name, "': give one of", known);
    }
    found->second(environment, name);
    return 0;
  });
}
