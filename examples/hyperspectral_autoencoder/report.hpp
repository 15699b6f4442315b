#pragma once

#include <cstdio>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/json.hpp>
#include <filesystem>
#include <span>
#include <string>

#include "training.hpp"

namespace pines {

inline dchag::Json json(Errors const& e) {
  return {{"mean", e.mean},
          {"linear", e.linear},
          {"harmonic", e.harmonic},
          {"model", e.model},
          {"model_8_symmetries", e.symmetric}};
}

inline dchag::Json json(ProbeResult const& result) {
  return {{"shrinkage", result.shrinkage},
          {"validation_overall", result.validation.overall},
          {"test_overall", result.test.overall},
          {"test_average", result.test.average}};
}

inline void print(Errors const& test, Errors const& validation, Options const& o) {
  std::printf("\nReconstruction of hidden patches: %lld x %lld pixels, %.0f%% hidden.\n",
              static_cast<long long>(o.patch), static_cast<long long>(o.patch), 100 * o.mask);
  std::printf(
      "Root mean square error in standardised bands over the hidden pixels of the crops in the corners of each\n");
  std::printf("block; the visible patches of each are drawn %lld times, the same for every method.\n",
              static_cast<long long>(o.masks));
  std::printf("%-58s %6s %11s\n", "", "test", "validation");
  auto const row = [](char const* name, double a, double b) { std::printf("  %-56s %6.3f %11.3f\n", name, a, b); };
  row("mean of the training pixels", test.mean, validation.mean);
  row("linear interpolation (Delaunay)", test.linear, validation.linear);
  row("harmonic interpolation (Laplace)", test.harmonic, validation.harmonic);
  row("masked autoencoder", test.model, validation.model);
  row("masked autoencoder, mean over the crop's 8 symmetries", test.symmetric, validation.symmetric);
}

inline void print(char const* name, ProbeResult const& result) {
  std::printf("  %-48s %6.3f %8.3f %11.3f %10g\n", name, result.test.overall, result.test.average,
              result.validation.overall, result.shrinkage);
}

/// Fits a linear discriminant to each description of the labelled pixels, prints and answers how well they do.
template <class Model>
dchag::Json report_probes(Evaluation<Model>& evaluation) {
  auto const score = [](auto const& of) { return probe(of(Part::train), of(Part::validation), of(Part::test)); };
  ProbeResult const raw = score([&](Part part) { return evaluation.spectra(part, 0); });
  ProbeResult const smooth = score([&](Part part) { return evaluation.spectra(part, 1); });
  ProbeResult const encoded = score([&](Part part) { return evaluation.features(part); });
  std::printf(
      "\nClasses of labelled pixels, by a linear discriminant fitted to those of the training blocks, its shrinkage\n");
  std::printf("chosen on the validation blocks; accuracy over all pixels, and its mean over classes.\n");
  std::printf("%-50s %6s %8s %11s %10s\n", "", "test", "by class", "validation", "shrinkage");
  print("spectrum", raw);
  print("mean spectrum of 3 x 3 pixels", smooth);
  print("encoder's features of its patch, all visible", encoded);
  return {{"spectrum", json(raw)}, {"mean_spectrum_3x3", json(smooth)}, {"features", json(encoded)}};
}

/// Prints and answers what the training cost. Memory is that of one rank; of several, report_mesh says it.
template <class Model>
dchag::Json report_cost(Training<Model>& training, Options const& options) {
  auto const& trainer = training.trainer();
  double const steps = static_cast<double>(trainer.steps()), seconds = training.seconds();
  double const crops = steps * static_cast<double>(options.batch);
  double const parameters = static_cast<double>(training.model().parameters().count());
  double const workspace = static_cast<double>(trainer.workspace_bytes());
  std::printf("\nTraining: %.0f steps in %.0f s, validation included: %.1f steps/s, %.0f crops/s.\n", steps, seconds,
              steps / seconds, crops / seconds);
  if (training.model().mesh().world().size() == 1)
    std::printf("Memory: %.2f million parameters, %.1f MiB with gradients and moments; workspace %.1f MiB.\n",
                parameters / 1e6, 16 * parameters / (1 << 20), workspace / (1 << 20));
  std::printf("\n");
  return {{"steps", trainer.steps()},
          {"seconds", seconds},
          {"crops_per_second", dchag::JsonLog::number(crops / seconds)},
          {"parameters", training.model().parameters().count()},
          {"workspace_bytes", static_cast<std::int64_t>(trainer.workspace_bytes())}};
}

/// Measures a trained model of one rank, prints it and writes report.json. `mesh` is what report_mesh answered, null
/// where there is one rank.
template <class Model>
void report(Training<Model>& training, Evaluation<Model>& evaluation, dchag::Json const& mesh, Options const& options,
            std::filesystem::path const& out) {
  Errors const test = evaluation.errors(Part::test, options.masks, false);
  Errors const validation = evaluation.errors(Part::validation, options.masks, false);
  print(test, validation, options);
  dchag::Json result = {{"rmse_test", json(test)}, {"rmse_validation", json(validation)}};
  result["probe"] = report_probes(evaluation);
  result["training"] = report_cost(training, options);
  if (!mesh.is_null()) result["mesh"] = mesh;
  std::string const text = dchag::dump_json(result) + "\n";
  dchag::AtomicFile file(out / "report.json");
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace pines
