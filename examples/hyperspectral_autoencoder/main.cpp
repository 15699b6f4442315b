// Pre-trains a masked autoencoder on a hyperspectral scene, and holds its reconstruction of hidden patches against
// interpolation and its features against the spectra themselves.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <filesystem>
#include <iostream>

#include "options.hpp"
#include "pictures.hpp"
#include "scene.hpp"
#include "session.hpp"

namespace {

using namespace pines;
using dchag::Json;

using Tree = dchag::Tree<dchag::Linear<8>, dchag::CrossAttention<1>>;
using Flat = dchag::Tree<dchag::CrossAttention<1>>;

/// Trains to the last step or for as many minutes as there are; the weights that did best on validation are kept.
template <class Model>
double train(Session<Model>& session, dchag::Mesh const& mesh, Options const& options,
             std::filesystem::path const& out) {
  auto& trainer = session.trainer();
  dchag::Progress progress(mesh);
  dchag::JsonLog log(out / "log.jsonl",
                     options.resume.empty() ? dchag::JsonLog::Mode::replace : dchag::JsonLog::Mode::append);
  trainer.on_step(std::ref(progress));
  trainer.on_step(std::ref(log));
  Kokkos::Timer const timer;
  double best = HUGE_VAL;
  while (trainer.steps() < options.steps && timer.seconds() < 60 * options.minutes) {
    session.train_step();
    if (trainer.steps() % options.validate != 0 && trainer.steps() < options.steps) continue;
    double const error = session.errors(Part::validation, 2, true).model;
    log.write(Json().set("step", trainer.steps()).set("validation_rmse", error));
    if (error < best) {
      best = error;
      dchag::save(session.model(), out / "model.safetensors");
    }
    dchag::save(session.model(), trainer, out / "training.safetensors");
  }
  return timer.seconds();
}

Json json(ProbeResult const& result) {
  return Json()
      .set("shrinkage", result.shrinkage)
      .set("validation_overall", result.validation.overall)
      .set("test_overall", result.test.overall)
      .set("test_average", result.test.average);
}

void print(char const* name, ProbeResult const& result) {
  std::printf("  %-34s %.3f / %.3f   (validation %.3f, shrinkage %g)\n", name, result.test.overall, result.test.average,
              result.validation.overall, result.shrinkage);
}

template <class Model>
void report(Session<Model>& session, Scene const& scene, Options const& options, std::filesystem::path const& out,
            double seconds) {
  auto const errors = session.errors(Part::test, options.masks, false),
             validation = session.errors(Part::validation, options.masks, false);
  std::printf(
      "\nReconstruction of hidden patches (%lld x %lld pixels, %.0f%% hidden), root mean square error in standardised "
      "bands,\n"
      "the same visible patches for every method, %lld draws over the blocks' crops:\n"
      "                                      test   validation\n",
      static_cast<long long>(options.patch), static_cast<long long>(options.patch), 100 * options.mask,
      static_cast<long long>(options.masks));
  auto const row = [](char const* name, double test, double other) {
    std::printf("  %-34s %.3f   %.3f\n", name, test, other);
  };
  row("mean of the training pixels", errors.mean, validation.mean);
  row("linear along rows and columns", errors.linear, validation.linear);
  row("harmonic (Laplace)", errors.harmonic, validation.harmonic);
  row("masked autoencoder", errors.model, validation.model);

  auto const score = [&](auto const& samples) {
    return probe(samples(Part::train), samples(Part::validation), samples(Part::test));
  };
  ProbeResult const raw = score([&](Part part) { return session.spectra(part, 0); });
  ProbeResult const smooth = score([&](Part part) { return session.spectra(part, 1); });
  ProbeResult const encoded = score([&](Part part) { return session.features(part); });
  std::printf(
      "\nLinear discriminant of each labelled pixel, trained on training blocks: overall / average accuracy on test "
      "blocks\n");
  print("spectrum", raw);
  print("mean spectrum of 3 x 3 pixels", smooth);
  print("encoder's features of its patch", encoded);

  auto const& trainer = session.trainer();
  double const parameters = static_cast<double>(session.model().parameters().count());
  std::printf("\n%lld steps of %lld crops in %.0f s; %.2f million parameters, workspace %.1f MiB\n",
              static_cast<long long>(trainer.steps()), static_cast<long long>(options.batch), seconds, parameters / 1e6,
              static_cast<double>(trainer.workspace_bytes()) / (1 << 20));
  Json const result =
      Json()
          .set("rmse_test", Json()
                                .set("mean", errors.mean)
                                .set("linear", errors.linear)
                                .set("harmonic", errors.harmonic)
                                .set("model", errors.model))
          .set("rmse_validation", Json()
                                      .set("mean", validation.mean)
                                      .set("linear", validation.linear)
                                      .set("harmonic", validation.harmonic)
                                      .set("model", validation.model))
          .set("probe",
               Json().set("spectrum", json(raw)).set("mean_spectrum_3x3", json(smooth)).set("features", json(encoded)))
          .set("steps", trainer.steps())
          .set("seconds", seconds)
          .set("parameters", parameters)
          .set("workspace_bytes", static_cast<double>(trainer.workspace_bytes()));
  dchag::AtomicFile file(out / "report.json");
  std::string const text = result.dump() + "\n";
  file.write(std::as_bytes(std::span(text)));
  file.commit();
  draw(reconstruct_test_blocks(session, scene), scene, out / "hyperspectral_autoencoder.png");
  std::printf("%s: model.safetensors, training.safetensors, log.jsonl, report.json, hyperspectral_autoencoder.png\n",
              out.c_str());
}

template <class TreePolicy>
int work(dchag::Environment& environment, Scene const& scene, Options const& options) {
  using Model = dchag::MaskedAutoencoder<TreePolicy>;
  dchag::Mesh const mesh(environment.world());
  Session<Model> session(mesh, scene, options);
  std::filesystem::path const out(options.out);
  std::filesystem::create_directories(out);
  if (!options.resume.empty()) dchag::load(session.model(), session.trainer(), options.resume);
  double const seconds = train(session, mesh, options, out);
  if (std::filesystem::exists(out / "model.safetensors")) dchag::load(session.model(), out / "model.safetensors");
  if (mesh.world().rank() == 0) report(session, scene, options, out, seconds);
  return 0;
}

void add_options(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default();
  app.add_option("--data", o.data, "folder of Indian_pines_corrected.npy and Indian_pines_gt.npy");
  app.add_flag("--synthetic", o.synthetic, "a small made-up scene instead");
  app.add_option("--out", o.out, "folder of what is written");
  app.add_option("--resume", o.resume, "goes on from a training.safetensors of the same options");
  app.add_option("--tree", o.tree, "dchag: Linear<8>, CrossAttention<1>; flat: CrossAttention<1>")
      ->check(CLI::IsMember({"dchag", "flat"}));
  app.add_option("--crop", o.crop, "edge of a crop, pixels; at most 29");
  app.add_option("--patch", o.patch, "edge of a patch, pixels; divides the crop");
  app.add_option("--embed", o.embed, "features of a token");
  app.add_option("--heads", o.heads, "heads of every attention");
  app.add_option("--depth", o.depth, "blocks of the encoder");
  app.add_option("--decoder-embed", o.decoder_embed, "features of a token of the decoder");
  app.add_option("--decoder-depth", o.decoder_depth, "blocks of the decoder");
  app.add_option("--mlp-ratio", o.mlp_ratio, "hidden width of the MLPs over the features");
  app.add_option("--mask", o.mask, "share of the patches that are hidden");
  app.add_option("--batch", o.batch, "crops a step and rank");
  app.add_option("--steps", o.steps, "steps of the whole run");
  app.add_option("--minutes", o.minutes, "training ends after so many at the latest");
  app.add_option("--learning-rate", o.learning_rate, "the highest, after the warm-up");
  app.add_option("--warmup", o.warmup, "steps in which the learning rate rises");
  app.add_option("--weight-decay", o.weight_decay, "of AdamW");
  app.add_option("--clip", o.clip, "largest norm of the gradients");
  app.add_option("--augment", o.augment, "strength of the random changes of spectra; 0 for none");
  app.add_option("--validate", o.validate, "steps between two validations, each with a checkpoint");
  app.add_option("--masks", o.masks, "draws of visible patches for the report");
  app.add_option("--seed", o.seed, "of the weights, the batches and the masks");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Masked autoencoding of the Indian Pines scene (145 x 145 pixels, 200 bands).");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    dchag::require(options.synthetic || !options.data.empty(),
                   "--data is missing: give the folder of the scene, or --synthetic");
    Scene const scene = options.synthetic ? Scene::synthetic(87, 24) : Scene::read(options.data);
    return options.tree == "flat" ? work<Flat>(environment, scene, options) : work<Tree>(environment, scene, options);
  });
}
