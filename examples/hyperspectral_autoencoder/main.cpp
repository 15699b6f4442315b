// Pre-trains a masked autoencoder on a hyperspectral scene, and holds its reconstruction of hidden patches against
// interpolation and its features against the spectra themselves.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <filesystem>

#include "options.hpp"
#include "pictures.hpp"
#include "report.hpp"
#include "scene.hpp"
#include "training.hpp"

namespace {

using namespace pines;

/// What the first rank does after the training: everything that needs all bands of a pixel together.
template <class Model>
void report_and_draw(Training<Model>& training, Model& model, Scene const& scene, dchag::Json const& mesh,
                     Options const& options) {
  std::filesystem::path const out(options.out);
  Evaluation<Model> evaluation(model, scene);
  report(training, evaluation, mesh, options, out);
  draw(Mosaic(evaluation, scene, model.config()), scene, out / "hyperspectral_autoencoder.png");
  std::printf("%s: hyperspectral_autoencoder.png, report.json, log.jsonl, model.safetensors, training.safetensors\n",
              out.c_str());
}

template <class Tree>
void work(dchag::Communicator const& world, Options const& options) {
  using Model = dchag::MaskedAutoencoder<Tree, dchag::Parallel<dchag::Tensor, dchag::OptimizerShard>>;
  dchag::Mesh const mesh(world, {.model = options.model_ranks, .shard = options.shard_ranks});
  Training<Model> training(mesh, options);
  training.run();
  if (world.size() == 1) return report_and_draw(training, training.model(), training.scene(), {}, options);

  auto const& config = training.model().config();
  auto const on_mesh = report_mesh<Model>(mesh, config, options.batch, training.needs());
  if (world.rank() != 0) return;  // and waits for the first rank where MPI ends
  // A checkpoint is the same on any mesh: the first rank reads it into a model of one rank, with the whole scene.
  Model model(dchag::Mesh(), config);
  dchag::load(model, std::filesystem::path(options.out) / "model.safetensors");
  report_and_draw(training, model, scene_of(options, model.own_channels()), on_mesh, options);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Masked autoencoding of the Indian Pines scene (145 x 145 pixels, 200 bands).");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.quick) make_quick(app, options);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    if (environment.world().rank() == 0) {  // alone, so that what all ranks would refuse is reported once
      check(options, app.remaining(), environment.world().size());
      scene_of(options, {});  // reads no band, but throws where the files are not those of the scene
      std::printf("%s\n", environment.report().c_str());
    }
    environment.world().barrier();
    using namespace dchag;
    if (options.tree == "flat")
      work<Tree<CrossAttention<1>>>(environment.world(), options);
    else
      work<Tree<Linear<8>, CrossAttention<1>>>(environment.world(), options);
  });
}
