#pragma once

#include <charconv>
#include <cmath>
#include <dchag/dchag.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "mesh_report.hpp"
#include "options.hpp"

namespace pines {

inline dchag::MaskedAutoencoderConfig configuration(Options const& o) {
  return {.channels = o.synthetic ? Scene::synthetic_bands : Scene::real_bands,
          .height = o.crop,
          .width = o.crop,
          .patch = o.patch,
          .embed = o.embed,
          .heads = o.heads,
          .depth = o.depth,
          .mlp_ratio = o.mlp_ratio,
          .mask_ratio = o.mask,
          .decoder = {.embed = o.decoder_embed, .heads = o.heads, .depth = o.decoder_depth, .mlp_ratio = o.mlp_ratio},
          .channel_list = Scene::channels(o.synthetic)};
}

/// Those bands of the scene that the options name.
inline Scene scene_of(Options const& o, std::vector<Index> const& bands) {
  return o.synthetic ? Scene::synthetic(bands) : Scene::read(o.data, bands);
}

/// Trains a model on crops of the training blocks; in a folder it leaves log.jsonl, model.safetensors (the parameters
/// that did best on the validation blocks) and training.safetensors (to go on from).
///
/// The model ranks of a replica each have their own bands of the same crops; the replicas divide the crops of a step.
/// On any mesh a step is of the same crops, and gives what it gives on one rank.
template <class Model>
class Training {
 public:
  using Space = typename Model::Space;

  /// All ranks of the mesh build one together.
  Training(dchag::Mesh const& mesh, Options const& options)
      : mesh_(mesh),
        options_(options),
        out_(options.out),
        model_(mesh, configuration(options), {.seed = options.seed}),
        scene_(scene_of(options, model_.own_channels())),
        trainer_(
            model_,
            dchag::AdamW{.learning_rate = options.learning_rate, .beta2 = 0.95, .weight_decay = options.weight_decay},
            dchag::WarmupCosine{options.warmup, options.steps}, {.clip = options.clip}),
        crops_(scene_, model_.config(), static_cast<std::size_t>(options.batch / mesh.replicas().size())),
        squares_(scene_.squares_in(Part::train, static_cast<int>(options.crop))),
        pixels_(scene_.pixels_in(Part::train)) {}
  Training(Training const&) = delete;

  Model& model() { return model_; }
  Scene const& scene() const { return scene_; }  // this rank's bands
  auto const& trainer() const { return trainer_; }
  double seconds() const { return seconds_; }  // of training, validation included, over all runs

  /// What this rank holds, and sent in the last step.
  Needs needs() {
    return {model_.own_channels(),       model_.parameters().count(),        scene_.bytes_read(),        crops_.bytes(),
            model_.parameters().bytes(), trainer_.optimizer_state().bytes(), trainer_.workspace_bytes(), sent_};
  }

  /// To the last step, or as long as the options say; the model is then the best one. All ranks call it.
  void run() {
    if (mesh_.world().rank() == 0) {
      std::error_code code;
      std::filesystem::create_directories(out_, code);
      dchag::require(!code, "--out ", out_.string(), ": ", code.message(), ": give a folder that can be made");
    }
    if (!options_.resume.empty()) resume();
    dchag::Progress progress(mesh_);
    trainer_.on_step(std::ref(progress));
    std::optional<dchag::JsonLog> log;
    if (mesh_.world().rank() == 0) {
      using Mode = dchag::JsonLog::Mode;
      log.emplace(out_ / "log.jsonl", options_.resume.empty() ? Mode::replace : Mode::append);
      trainer_.on_step(std::ref(*log));
    }
    Index const last = options_.stop > 0 ? std::min(options_.stop, options_.steps) : options_.steps;
    double const before = seconds_;
    Kokkos::Timer const timer;
    for (bool done = trainer_.steps() >= last; !done;) {
      Sent const before_step = sent(mesh_);
      trainer_.step(batch_of(trainer_.steps()));
      sent_ = sent(mesh_);
      for (std::size_t i = 0; i < sent_.size(); ++i) sent_[i] -= before_step[i];
      done = trainer_.steps() >= last || late(before + timer.seconds());
      if (!done && trainer_.steps() % options_.validate != 0) continue;
      double const own = evaluation_.errors(Part::validation, 2, true).model;
      double const error = mesh_.world().all_reduce(own, dchag::Reduction::max);  // one answer for what all do next
      seconds_ = before + timer.seconds();
      keep(error);
      if (log) log->write({{"step", trainer_.steps()}, {"validation_rmse", error}});
      progress.note(text("step %lld: validation rmse %.4f", static_cast<long long>(trainer_.steps()), error));
    }
    progress.finish();
    mesh_.world().barrier();
    dchag::load(model_, out_ / "model.safetensors");
  }

 private:
  template <class... Values>
  static std::string text(char const* format, Values... values) {
    std::array<char, 128> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return buffer.data();
  }

  /// Whether the time is up, for all ranks alike.
  bool late(double seconds) const {
    return mesh_.world().all_reduce(seconds > 60 * options_.minutes ? 1 : 0, dchag::Reduction::max) > 0;
  }

  /// This replica's crops of a step, the same whenever that step is taken.
  typename Model::Batch batch_of(Index step) {
    auto const first = static_cast<std::uint64_t>(step * options_.batch) +
                       static_cast<std::uint64_t>(mesh_.replicas().rank()) * crops_.count();
    crops_.fill(dchag::random_key(options_.seed, "visible"), first,
                [&](std::size_t crop) { return framing(first + crop); });
    return crops_.upload();
  }

  /// A square of the training blocks, wherever it fits, in any symmetry; its spectra become
  /// x (1 + 0.2 a n) + 0.5 a n' (z - z'), with a the strength of --augment, n and n' normal, z and z' spectra of
  /// training pixels.
  Framing framing(std::uint64_t number) const {
    std::uint64_t const key = dchag::random_bits(dchag::random_key(options_.seed, "crops"), number);
    auto const pick = [&](auto const& list, std::uint64_t draw) {
      return list[dchag::random_bits(key, draw) % list.size()];
    };
    Framing framing{pick(squares_, 0), static_cast<int>(dchag::random_bits(key, 1) % 8)};
    framing.from = pick(pixels_, 2);
    framing.to = pick(pixels_, 3);
    framing.gain = static_cast<float>(1 + 0.2 * options_.augment * dchag::random_normal(key, 2));
    framing.shift = static_cast<float>(0.5 * options_.augment * dchag::random_normal(key, 3));
    return framing;
  }

  /// Of all bands: the model ranks, in their order, own ascending ranges of them.
  dchag::Json statistics() const {
    std::vector<dchag::ChannelStatistics> all;
    for (auto const& text : mesh_.model().all_gather(dchag::dump_json(dchag::statistics_json(scene_.statistics())))) {
      auto const own = dchag::statistics_from(dchag::parse_json(text, "statistics"));
      all.insert(all.end(), own.begin(), own.end());
    }
    return dchag::statistics_json(all);
  }

  /// Writes where the run stands, and the model where it is the best so far.
  void keep(double error) {
    if (error < best_) {
      best_ = error;
      dchag::save(model_, out_ / "model.safetensors",
                  {{"step", std::to_string(trainer_.steps())}, {"statistics", dchag::dump_json(statistics())}});
    }
    dchag::save(model_, trainer_, out_ / "training.safetensors",
                {{"options", dchag::dump_json(options_.training())},
                 {"best", dchag::dump_json(best_)},
                 {"seconds", dchag::dump_json(seconds_)}});
  }

  void resume() {
    auto const metadata = dchag::load(model_, trainer_, options_.resume);
    auto const entry = [&](char const* name) {
      auto const found = metadata.find(name);
      dchag::require(found != metadata.end(), options_.resume, ": has no \"", name, "\", it is not of this program");
      return dchag::parse_json(found->second, options_.resume);
    };
    dchag::Json const then = entry("options"), now = options_.training();
    for (auto const& [name, value] : dchag::json_object(now, "options")) {
      dchag::Json const* const other = dchag::json_find(then, name);
      dchag::require(other != nullptr && *other == value, options_.resume, ": was made with ", name, " = ",
                     other == nullptr ? "nothing" : dchag::dump_json(*other), ", not ", dchag::dump_json(value),
                     ": give the same");
    }
    seconds_ = dchag::json_to<double>(entry("seconds"), "seconds");
    bool const goes_on_there =
        mesh_.world().rank() == 0 &&
        std::filesystem::equivalent(out_, std::filesystem::absolute(options_.resume).parent_path()) &&
        std::filesystem::exists(out_ / "model.safetensors");
    if (mesh_.world().all_reduce(goes_on_there ? 1 : 0) > 0) best_ = dchag::json_to<double>(entry("best"), "best");
  }

  dchag::Mesh mesh_;
  Options options_;
  std::filesystem::path out_;
  Model model_;
  Scene scene_;
  dchag::Trainer<Model, dchag::WarmupCosine> trainer_;
  Crops<Model> crops_;
  Evaluation<Model> evaluation_{model_, scene_};
  std::vector<Pixel> squares_, pixels_;
  Sent sent_{};  // bytes in the last step
  double best_ = std::numeric_limits<double>::max(), seconds_ = 0;
};

}  // namespace pines
