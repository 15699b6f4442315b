#pragma once

#include <array>
#include <cmath>
#include <dchag/dchag.hpp>
#include <vector>

#include "crops.hpp"
#include "interpolation.hpp"
#include "probe.hpp"

namespace pines {

/// Root mean square, over hidden pixels and all bands (standardised), of the error of each method.
struct Errors {
  double mean = 0;       // zero everywhere: the mean of the training pixels
  double linear = 0;     // LinearInterpolation
  double harmonic = 0;   // HarmonicInterpolation
  double model = 0;      // the model
  double symmetric = 0;  // the mean of the model's answers to the 8 symmetries of each crop
};

/// Runs a model on crops and holds its answers against the scene, whose bands are the model's own channels. The model
/// ranks of a replica call errors(), reconstruct() and features() together; errors() are of the bands of all of them.
template <class Model>
class Evaluation {
 public:
  using Space = typename Model::Space;
  using Host = Kokkos::DefaultHostExecutionSpace;

  /// Both must outlive it.
  Evaluation(Model& model, Scene const& scene) : model_(&model), scene_(&scene) {}

  /// Over the squares in the corners of a part's blocks, the visible patches of each drawn `masks` times, the same for
  /// every method and every model. Where only_model, the other fields stay zero.
  Errors errors(Part part, Index masks, bool only_model) {
    auto const corners = scene_->corners_of_blocks(part, edge());
    Crops<Model> crops(*scene_, model_->config(), corners.size());
    std::uint64_t const key = dchag::random_key(0, part == Part::test ? "test" : "validation");
    Sums total{};
    for (Index draw = 0; draw < masks; ++draw) {
      std::vector<float> one, all(corners.size() * crops.size_of_one(), 0.0f);
      for (int symmetry = only_model ? 0 : 7; symmetry >= 0; --symmetry) {
        crops.fill(key, static_cast<std::uint64_t>(draw) * corners.size(), [&](std::size_t crop) {
          return Framing{corners[crop], symmetry};
        });
        one = reconstruct(crops);
        if (!only_model) add_turned(crops, symmetry, one, all);
      }
      add_squares(crops, one, all, only_model, total);
    }
    total = model_->mesh().model().all_reduce(total);
    auto const root = [&](std::size_t method) { return std::sqrt(total[method] / total[5]); };
    if (only_model) return {0, 0, 0, root(3), 0};
    return {root(0), root(1), root(2), root(3), root(4)};
  }

  /// What the model answers, for all patches, [crop, own band, edge, edge].
  std::vector<float> reconstruct(Crops<Model>& crops) {
    auto const batch = crops.upload();
    Kokkos::View<float*, typename Space::device_type> const out("reconstruction", crops.count() * crops.size_of_one());
    auto const shaped = dchag::reshape<float****, Space>(out.data(), crops.count(), crops.bands(), edge(), edge());
    run([&](auto const& context) { model_->predict(context, batch, shaped); });
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), out);
    return {host.data(), host.data() + host.size()};
  }

  /// The encoder's features of every pixel of a part that has a class: those of its patch, all patches visible,
  /// averaged over the squares in the corners of its block that hold it and over their 8 symmetries.
  Samples features(Part part) {
    std::size_t const size = static_cast<std::size_t>(model_->config().embed);
    auto const corners = scene_->corners_of_blocks(part, edge());
    std::vector<double> sums(scene_->values_per_band() * size), counts(scene_->values_per_band());
    Crops<Model> crops(*scene_, model_->config(), corners.size());
    for (int symmetry = 0; symmetry < 8; ++symmetry) {
      crops.fill(0, 0, [&](std::size_t crop) { return Framing{corners[crop], symmetry}; });
      add_features(crops, corners, symmetry, sums, counts);
    }
    return labelled(part, size, [&](Pixel at, std::vector<double>& to) {
      std::size_t const pixel = number(at);
      for (std::size_t j = 0; j < size; ++j) to.push_back(sums[pixel * size + j] / counts[pixel]);
    });
  }

  /// The spectrum of every pixel of a part that has a class; with radius 1, the mean of the 3 x 3 around it that lie in
  /// the same part.
  Samples spectra(Part part, int radius) const {
    return labelled(part, static_cast<std::size_t>(scene_->bands()), [&](Pixel at, std::vector<double>& to) {
      for (int k = 0; k < scene_->bands(); ++k) {
        double sum = 0, count = 0;
        for (int r = std::max(at.row - radius, 0); r <= std::min(at.row + radius, scene_->rows() - 1); ++r)
          for (int c = std::max(at.column - radius, 0); c <= std::min(at.column + radius, scene_->columns() - 1); ++c)
            if (Scene::part_of(r, c) == part) sum += scene_->value(k, r, c), ++count;
        to.push_back(sum / count);
      }
    });
  }

 private:
  using Sums = std::array<double, 6>;  // of squared errors as in Errors, and how many there are of each

  int edge() const { return static_cast<int>(model_->config().height); }
  std::size_t number(Pixel at) const { return static_cast<std::size_t>(at.row * scene_->columns() + at.column); }

  /// Runs it once over sizes alone to learn what workspace it needs, then in earnest.
  template <class Run>
  void run(Run const& body) {
    dchag::Workspace<Space> measuring;
    body(dchag::Context<Space>(measuring));
    if (workspace_.measuring() || workspace_.capacity() < measuring.peak()) workspace_.allocate(measuring.peak());
    body(dchag::Context<Space>(workspace_));
    Space().fence("evaluation");
  }

  /// all += one / 8, turned back as the square lies in the scene.
  static void add_turned(Crops<Model> const& crops, int symmetry, std::vector<float> const& one,
                         std::vector<float>& all) {
    int const edge = crops.edge();
    for (std::size_t plane = 0; plane < one.size(); plane += crops.pixels())
      for (int i = 0; i < edge; ++i)
        for (int j = 0; j < edge; ++j) {
          auto const [r, c] = turned(symmetry, edge, i, j);
          all[plane + static_cast<std::size_t>(r * edge + c)] +=
              one[plane + static_cast<std::size_t>(i * edge + j)] / 8;
        }
  }

  void add_squares(Crops<Model> const& crops, std::vector<float> const& one, std::vector<float> const& all,
                   bool only_model, Sums& total) const {
    std::vector<Sums> sums(crops.count());
    Kokkos::parallel_for("errors", Kokkos::RangePolicy<Host>(0, static_cast<int>(crops.count())), [&](int crop) {
      std::size_t const i = static_cast<std::size_t>(crop);
      sums[i] =
          squares(crops, i, one.data() + i * crops.size_of_one(), all.data() + i * crops.size_of_one(), only_model);
    });
    Host().fence("errors");
    for (Sums const& of_one : sums)
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += of_one[i];
  }

  static Sums squares(Crops<Model> const& crops, std::size_t crop, float const* one, float const* all,
                      bool only_model) {
    Visible const visible(crops.edge(), crops.patch(), crops.visible(crop));
    std::vector<float> linear(crops.pixels()), harmonic(crops.pixels());
    LinearInterpolation const interpolate_linearly(visible);
    HarmonicInterpolation const interpolate_harmonically(visible);
    Sums sums{};
    for (int k = 0; k < crops.bands(); ++k, one += crops.pixels(), all += crops.pixels()) {
      auto const truth = crops.band(crop, k);
      if (!only_model) {
        interpolate_linearly(truth, linear);
        interpolate_harmonically(truth, harmonic);
      }
      for (std::size_t i = 0; i < truth.size(); ++i) {
        if (visible[i]) continue;
        std::array<float, 5> const answers{0, linear[i], harmonic[i], one[i], all[i]};
        for (std::size_t method = 0; method < answers.size(); ++method) {
          double const error = answers[method] - truth[i];
          sums[method] += error * error;
        }
        ++sums[5];
      }
    }
    return sums;
  }

  void add_features(Crops<Model>& crops, std::vector<Pixel> const& corners, int symmetry, std::vector<double>& sums,
                    std::vector<double>& counts) {
    Index const locations = model_->config().locations(), embed = model_->config().embed,
                across = edge() / crops.patch();
    Kokkos::View<float***, Kokkos::LayoutRight, typename Space::device_type> const out(
        "features", crops.count(), static_cast<std::size_t>(locations), static_cast<std::size_t>(embed));
    auto const batch = crops.upload();
    run([&](auto const& context) { model_->features(context, batch.images, out); });
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), out);
    for (std::size_t crop = 0; crop < crops.count(); ++crop)
      for (int i = 0; i < edge(); ++i)
        for (int j = 0; j < edge(); ++j) {
          auto const [r, c] = turned(symmetry, edge(), i, j);
          std::size_t const pixel = number({corners[crop].row + r, corners[crop].column + c});
          Index const location = i / crops.patch() * across + j / crops.patch();
          for (Index e = 0; e < embed; ++e)
            sums[pixel * static_cast<std::size_t>(embed) + static_cast<std::size_t>(e)] += host(crop, location, e);
          ++counts[pixel];
        }
  }

  /// One sample for each pixel of a part that has a class; append(pixel, features) adds what is known of it.
  template <class Append>
  Samples labelled(Part part, std::size_t size, Append const& append) const {
    Samples samples;
    samples.size = size;
    for (Pixel const at : scene_->pixels_in(part))
      if (int const label = scene_->label(at.row, at.column); label > 0) {
        samples.labels.push_back(label);
        append(at, samples.features);
      }
    return samples;
  }

  Model* model_;
  Scene const* scene_;
  dchag::Workspace<Space> workspace_;
};

}  // namespace pines
