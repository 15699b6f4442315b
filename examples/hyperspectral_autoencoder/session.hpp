#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "interpolation.hpp"
#include "options.hpp"
#include "probe.hpp"
#include "scene.hpp"

namespace pines {

using dchag::Index;

/// A model of the scene, the batches it is trained on, and what it is held against.
template <class Model>
class Session {
 public:
  using Space = typename Model::Space;
  using Batch = typename Model::Batch;

  Session(dchag::Mesh const& mesh, Scene const& scene, Options const& options)
      : scene_(&scene),
        options_(options),
        model_(mesh, config(scene, options), {.seed = options.seed}),
        trainer_(
            model_,
            dchag::AdamW{.learning_rate = options.learning_rate, .beta2 = 0.95, .weight_decay = options.weight_decay},
            dchag::WarmupCosine{options.warmup, options.steps}, {.clip = options.clip}),
        training_(scene.squares_in(Part::train, static_cast<int>(options.crop))),
        key_(dchag::random_key(options.seed, "batches") + static_cast<std::uint64_t>(mesh.data().rank())) {
    dchag::require(options.validate > 0 && options.masks > 0 && options.batch > 0, "batch = ", options.batch,
                   ", validate = ", options.validate, ", masks = ", options.masks, ": all must be positive");
  }

  static dchag::MaskedAutoencoderConfig config(Scene const& scene, Options const& o) {
    return {
        .channels = scene.bands(),
        .height = o.crop,
        .width = o.crop,
        .patch = o.patch,
        .embed = o.embed,
        .heads = o.heads,
        .depth = o.depth,
        .mlp_ratio = o.mlp_ratio,
        .mask_ratio = o.mask,
        .decoder = {.embed = o.decoder_embed, .heads = o.heads, .depth = o.decoder_depth, .mlp_ratio = o.mlp_ratio}};
  }

  Model& model() { return model_; }
  auto& trainer() { return trainer_; }

  /// The crops of a step, the same whenever that step is taken: places, symmetries, visible patches, and changes of the
  /// spectra x (1 + 0.2 a n) + 0.5 a n' (z - z'), with n, n' normal and z, z' spectra of training pixels.
  Crops const& training_crops(Index step) {
    std::size_t const count = static_cast<std::size_t>(options_.batch);
    resize(count);
    for (std::size_t crop = 0; crop < count; ++crop) {
      std::uint64_t const number = static_cast<std::uint64_t>(step) * count + crop;
      std::uint64_t const bits = dchag::random_bits(key_, number * 8);
      crops_.copy(*scene_, training_[bits % training_.size()], static_cast<int>(bits >> 60) & 7, crop);
      if (options_.augment > 0) change_spectra(crop, number * 8 + 1);
      draw_visible(key_ ^ 0x5bd1e995u, number, model_.grid().locations(), keep_of(crop));
    }
    return crops_;
  }

  double train_step() { return trainer_.step(upload(training_crops(trainer_.steps()))); }

  /// Root mean square, over hidden pixels of a part's blocks and all bands (standardised), of the error of each method:
  /// zero (the mean of the training pixels), linear, harmonic, the model. All see the same visible patches, drawn
  /// `masks` times.
  struct Errors {
    double mean = 0, linear = 0, harmonic = 0, model = 0;
  };
  Errors errors(Part part, Index masks, bool only_model) {
    auto const corners = scene_->block_corners(part, static_cast<int>(options_.crop));
    Errors sum;
    double count = 0;
    for (Index draw = 0; draw < masks; ++draw) {
      resize(corners.size());
      for (std::size_t crop = 0; crop < corners.size(); ++crop) {
        crops_.copy(*scene_, corners[crop], 0, crop);
        draw_visible(dchag::random_key(99, part == Part::test ? "test" : "validation"),
                     static_cast<std::uint64_t>(draw) * corners.size() + crop, model_.grid().locations(),
                     keep_of(crop));
      }
      auto const prediction = predict(upload(crops_));
      for (std::size_t crop = 0; crop < corners.size(); ++crop) add_errors(crop, prediction, only_model, sum, count);
    }
    for (double* value : {&sum.mean, &sum.linear, &sum.harmonic, &sum.model}) *value = std::sqrt(*value / count);
    return sum;
  }

  /// The reconstruction of a batch, [crop, band, edge, edge].
  std::vector<float> predict(Batch const& batch) {
    std::size_t const count = static_cast<std::size_t>(batch.size());
    Kokkos::View<float*, Space> const out("prediction", count * crops_.size_of_one());
    auto const shaped =
        dchag::reshape<float****, Space>(out.data(), batch.size(), scene_->bands(), options_.crop, options_.crop);
    within([&](auto const& context) { model_.predict(context, batch, shaped); });
    return download(out);
  }

  /// Encoder features of every pixel of a part that has a class: those of its patch, all patches visible, averaged over
  /// the crops of its block that hold it.
  Samples features(Part part) {
    int const edge = static_cast<int>(options_.crop), columns = scene_->columns();
    std::size_t const size = static_cast<std::size_t>(options_.embed);
    auto const corners = scene_->block_corners(part, edge);
    resize(corners.size());
    for (std::size_t crop = 0; crop < corners.size(); ++crop) crops_.copy(*scene_, corners[crop], 0, crop);
    Index const locations = model_.grid().locations(), across = options_.crop / options_.patch;
    Batch const batch = upload(crops_);
    Kokkos::View<float*, Space> const out("features", corners.size() * static_cast<std::size_t>(locations) * size);
    within([&](auto const& context) {
      model_.features(context, batch.images,
                      dchag::reshape<float***, Space>(out.data(), batch.size(), locations, options_.embed));
    });
    auto const values = download(out);
    std::vector<double> sums(static_cast<std::size_t>(scene_->rows() * columns) * size), counts(sums.size() / size);
    for (std::size_t crop = 0; crop < corners.size(); ++crop)
      for (int r = 0; r < edge; ++r)
        for (int c = 0; c < edge; ++c) {
          std::size_t const pixel =
              static_cast<std::size_t>((corners[crop].row + r) * columns + corners[crop].column + c);
          Index const location = r / options_.patch * across + c / options_.patch;
          float const* const from =
              values.data() + (crop * static_cast<std::size_t>(locations) + static_cast<std::size_t>(location)) * size;
          for (std::size_t j = 0; j < size; ++j) sums[pixel * size + j] += from[j];
          ++counts[pixel];
        }
    return labelled(part, size, [&](int r, int c, std::vector<double>& to) {
      std::size_t const pixel = static_cast<std::size_t>(r * columns + c);
      for (std::size_t j = 0; j < size; ++j) to.push_back(sums[pixel * size + j] / counts[pixel]);
    });
  }

  /// Spectra of every pixel with a class, or the means of theirs and their neighbours' in the same part.
  Samples spectra(Part part, int radius) const {
    return labelled(part, static_cast<std::size_t>(scene_->bands()), [&](int r, int c, std::vector<double>& to) {
      for (int k = 0; k < scene_->bands(); ++k) {
        double sum = 0, count = 0;
        for (int i = std::max(r - radius, 0); i <= std::min(r + radius, scene_->rows() - 1); ++i)
          for (int j = std::max(c - radius, 0); j <= std::min(c + radius, scene_->columns() - 1); ++j)
            if (Scene::part_of(i, j) == part) sum += scene_->value(k, i, j), ++count;
        to.push_back(sum / count);
      }
    });
  }

  Crops& crops() { return crops_; }
  Batch upload(Crops const& crops) {
    std::size_t const count = crops.pixels.size() / crops.size_of_one();
    if (images_.size() < crops.pixels.size()) images_ = decltype(images_)("images", crops.pixels.size());
    if (keep_.size() < crops.keep.size()) keep_ = decltype(keep_)("keep", crops.keep.size());
    using HostPixels = Kokkos::View<float const*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    using HostKeep = Kokkos::View<Index const*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    Kokkos::deep_copy(Kokkos::subview(images_, std::pair<std::size_t, std::size_t>(0, crops.pixels.size())),
                      HostPixels(crops.pixels.data(), crops.pixels.size()));
    Kokkos::deep_copy(Kokkos::subview(keep_, std::pair<std::size_t, std::size_t>(0, crops.keep.size())),
                      HostKeep(crops.keep.data(), crops.keep.size()));
    Index const n = static_cast<Index>(count);
    return {dchag::reshape<float const****, Space>(static_cast<float const*>(images_.data()), n, scene_->bands(),
                                                   options_.crop, options_.crop),
            dchag::reshape<Index const**, Space>(static_cast<Index const*>(keep_.data()), n, model_.config().kept())};
  }

  void resize(std::size_t count) {
    crops_.edge = static_cast<int>(options_.crop);
    crops_.bands = scene_->bands();
    crops_.pixels.resize(count * crops_.size_of_one());
    crops_.keep.resize(count * static_cast<std::size_t>(model_.config().kept()));
  }
  std::span<Index> keep_of(std::size_t crop) {
    std::size_t const kept = static_cast<std::size_t>(model_.config().kept());
    return std::span(crops_.keep).subspan(crop * kept, kept);
  }

  /// Which pixels of a crop its visible patches show.
  Sparse visible(std::size_t crop) {
    int const edge = crops_.edge, patch = static_cast<int>(options_.patch), across = edge / patch;
    Sparse sparse{edge, std::vector<bool>(static_cast<std::size_t>(edge * edge), false)};
    for (Index location : keep_of(crop))
      for (int i = 0; i < patch; ++i)
        for (int j = 0; j < patch; ++j)
          sparse.known[sparse.at(static_cast<int>(location) / across * patch + i,
                                 static_cast<int>(location) % across * patch + j)] = true;
    return sparse;
  }

 private:
  template <class Run>
  void within(Run const& run) {
    dchag::Workspace<Space> workspace;
    run(dchag::Context<Space>(workspace));
    workspace.allocate(workspace.peak());
    run(dchag::Context<Space>(workspace));
    Space().fence("within");
  }
  static std::vector<float> download(Kokkos::View<float*, Space> const& from) {
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), from);
    return {host.data(), host.data() + host.size()};
  }

  void change_spectra(std::size_t crop, std::uint64_t counter) {
    double const a = options_.augment, gain = 1 + 0.2 * a * dchag::random_normal(key_, counter);
    double const part = 0.5 * a * dchag::random_normal(key_, counter + 1);
    auto const pick = [&](std::uint64_t n) {
      return training_[dchag::random_bits(key_, counter + n) % training_.size()];
    };
    auto const z = pick(2), other = pick(3);
    auto const to = crops_.one(crop);
    std::size_t const plane = static_cast<std::size_t>(crops_.edge * crops_.edge);
    for (int k = 0; k < crops_.bands; ++k) {
      float const shift =
          static_cast<float>(part * (scene_->value(k, z.row, z.column) - scene_->value(k, other.row, other.column)));
      for (float& x : to.subspan(static_cast<std::size_t>(k) * plane, plane)) x = static_cast<float>(gain) * x + shift;
    }
  }

  void add_errors(std::size_t crop, std::vector<float> const& prediction, bool only_model, Errors& sum, double& count) {
    Sparse const sparse = visible(crop);
    std::size_t const plane = sparse.known.size();
    std::vector<float> linear(plane), harmonic(plane);
    for (int k = 0; k < crops_.bands; ++k) {
      auto const truth = crops_.one(crop).subspan(static_cast<std::size_t>(k) * plane, plane);
      float const* const model = prediction.data() + crop * crops_.size_of_one() + static_cast<std::size_t>(k) * plane;
      if (!only_model) {
        interpolate_linearly(sparse, truth, linear);
        interpolate_harmonically(sparse, truth, harmonic);
      }
      for (std::size_t i = 0; i < plane; ++i) {
        if (sparse.known[i]) continue;
        auto const square = [&](double value) { return (value - truth[i]) * (value - truth[i]); };
        sum.mean += square(0), sum.linear += square(linear[i]), sum.harmonic += square(harmonic[i]),
            sum.model += square(model[i]);
        ++count;
      }
    }
  }

  template <class Append>
  Samples labelled(Part part, std::size_t size, Append const& append) const {
    Samples samples;
    samples.size = size;
    for (int r = 0; r < scene_->rows(); ++r)
      for (int c = 0; c < scene_->columns(); ++c)
        if (scene_->label(r, c) > 0 && Scene::part_of(r, c) == part) {
          samples.labels.push_back(scene_->label(r, c));
          append(r, c, samples.features);
        }
    return samples;
  }

  Scene const* scene_;
  Options options_;
  Model model_;
  dchag::Trainer<Model, dchag::WarmupCosine> trainer_;
  std::vector<Scene::Corner> training_;
  std::uint64_t key_;
  Crops crops_;
  Kokkos::View<float*, Space> images_;
  Kokkos::View<Index*, Space> keep_;
};

}  // namespace pines
