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

template <class Tree>
void work(dchag::Environment const& environment, Scene const& scene, Options const& options) {
  using Model = dchag::MaskedAutoencoder<Tree>;
  Training<Model> training(dchag::Mesh(environment.world()), scene, options);
  training.run();
  if (environment.world().rank() != 0) return;
  std::filesystem::path const out(options.out);
  Evaluation<Model> evaluation(training.model(), scene);
  report(training, evaluation, options, out);
  draw(Mosaic(evaluation, scene, training.model().config()), scene, out / "hyperspectral_autoencoder.png");
  std::printf("%s: hyperspectral_autoencoder.png, report.json, log.jsonl, model.safetensors, training.safetensors\n",
              out.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Masked autoencoding of the Indian Pines scene (145 x 145 pixels, 200 bands).");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.quick) make_quick(app, options);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    check(options, app.remaining());
    if (environment.world().rank() == 0) std::printf("%s\n", environment.report().c_str());
    Scene const scene = options.synthetic ? Scene::synthetic() : Scene::read(options.data);
    using namespace dchag;
    if (options.tree == "flat")
      work<Tree<CrossAttention<1>>>(environment, scene, options);
    else
      work<Tree<Linear<8>, CrossAttention<1>>>(environment, scene, options);
  });
}
