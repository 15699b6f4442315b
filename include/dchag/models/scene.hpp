#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/io/band_statistics.hpp>
#include <dchag/io/window.hpp>
#include <dchag/models/scene_windows.hpp>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace dchag {

struct SceneOptions {
  /// Pixels at the edges of a window whose answers are dropped for those of the next window: a multiple of the patch,
  /// less than half of the window. None given: a quarter of each side, rounded down to a multiple of the patch.
  std::optional<Index> margin{};
  Index batch = 8;         // windows that the model gets at a time
  std::uint64_t seed = 0;  // of the choice of visible patches of a reconstruction
  std::function<void(Index done, Index windows)> progress{};
};

/// Runs a masked autoencoder over a scene of any height and width, window by window, in memory that does not depend on
/// them. Windows are of the size of the model's images and overlap; of each answer the one is kept that lies farthest
/// from the edges of its window. A scene that is smaller than a window, or no multiple of the patch, is continued by
/// its mirror image below and to the right.
///
/// Bands are standardised by statistics (a band of deviation 0 is only centred). A pixel that is not finite in some
/// band has no data: the model sees the mean of each band there, and the answer has NaN. Windows without any data are
/// not computed.
///
/// The scene comes and the answer goes through callables:
///     read(Window, std::span<Scalar> values)         fills values [bands, height, width]
///     write(Window, std::span<Scalar const> values)  takes values [features or bands, height, width], each place once
template <class Model>
class SceneInference {
 public:
  using Scalar = typename Model::Scalar;
  using Space = typename Model::Space;

  /// The model must outlive it. Throws Error where the model is one of several ranks, or an argument does not fit it.
  SceneInference(Model& model, Index height, Index width, std::vector<ChannelStatistics> statistics,
                 SceneOptions options = {})
      : model_(&model),
        height_(height),
        width_(width),
        statistics_(std::move(statistics)),
        options_((check(model, height, width, options), std::move(options))),
        rows_(windows_along(height, config().height)),
        columns_(windows_along(width, config().width)),
        images_(static_cast<std::size_t>(options_.batch) * size_of_one()),
        complete_(static_cast<std::size_t>(options_.batch) * plane()) {
    check_statistics("scene", statistics_, static_cast<std::size_t>(config().channels));
  }

  Index windows() const { return static_cast<Index>(rows_.size() * columns_.size()); }

  /// The sides of the answer of features(): a pixel for every patch, of which the last may be cut by the scene's end.
  Index feature_height() const { return ceil_div(height_, config().patch); }
  Index feature_width() const { return ceil_div(width_, config().patch); }

  /// The encoder's features [embed, feature_height(), feature_width()]. A patch has NaN where one of its pixels has no
  /// data.
  template <class Read, class Write>
  void features(Read const& read, Write const& write) {
    Index const size = config().locations() * config().embed;
    Transfer<Scalar> out(static_cast<std::size_t>(options_.batch * size));
    auto const body = [&](Context<Space> const& context, Index count) {
      model_->features(context, images_of(count),
                       reshape<Scalar***, Space>(out.device.data(), count, config().locations(), config().embed));
    };
    prepare(body);
    walk(
        read,
        [&](std::span<detail::SceneWindow const> windows) {
          run(body, static_cast<Index>(windows.size()));
          out.fetch();
        },
        [&](detail::SceneWindow const& window, Index slot) {
          write_features(window, slot, out.host.data() + slot * size, write);
        });
  }

  /// The reconstruction [bands, height, width], in the scene's units. Every patch is reconstructed from others, while
  /// it is hidden: the model gets each window several times, other patches hidden each time, until each patch was
  /// hidden and visible at least once; its answers for the hidden ones are averaged.
  template <class Read, class Write>
  void reconstruct(Read const& read, Write const& write) {
    Transfer<Scalar> out(images_.host.size());
    Transfer<Index> keep(static_cast<std::size_t>(options_.batch * config().kept()));
    std::vector<Scalar> sums(out.host.size());
    std::vector<Index> counts(static_cast<std::size_t>(options_.batch * config().locations()));
    auto const body = [&](Context<Space> const& context, Index count) {
      auto const visible =
          reshape<Index const**, Space>(static_cast<Index const*>(keep.device.data()), count, config().kept());
      model_->predict(
          context, {images_of(count), visible},
          reshape<Scalar****, Space>(out.device.data(), count, config().channels, config().height, config().width));
    };
    prepare(body);
    walk(
        read,
        [&](std::span<detail::SceneWindow const> windows) {
          std::vector<detail::HidingOrder> orders;
          for (auto const& window : windows)
            orders.emplace_back(options_.seed, window.number, config().locations(),
                                config().locations() - config().kept());
          std::fill(sums.begin(), sums.end(), Scalar(0));
          std::fill(counts.begin(), counts.end(), Index{0});
          for (Index pass = 0; pass < orders.front().passes(); ++pass) {
            for (std::size_t slot = 0; slot < orders.size(); ++slot)
              orders[slot].visible(pass, {keep.host.data() + slot * kept(), kept()});
            keep.send();
            run(body, static_cast<Index>(windows.size()));
            out.fetch();
            for (std::size_t slot = 0; slot < orders.size(); ++slot)
              add_hidden(orders[slot], pass, slot, out.host.data(), sums, counts);
          }
        },
        [&](detail::SceneWindow const& window, Index slot) { write_pixels(window, slot, sums, counts, write); });
  }

 private:
  /// Memory where the model runs and a copy on the host.
  template <class T>
  struct Transfer {
    explicit Transfer(std::size_t size) : device("scene", size), host(Kokkos::create_mirror_view(device)) {}
    void send() { Kokkos::deep_copy(device, host); }
    void fetch() { Kokkos::deep_copy(host, device); }

    Kokkos::View<T*, typename Space::device_type> device;
    typename decltype(device)::host_mirror_type host;
  };

  auto const& config() const { return model_->config(); }
  std::size_t kept() const { return static_cast<std::size_t>(config().kept()); }
  std::size_t plane() const { return static_cast<std::size_t>(config().height * config().width); }
  std::size_t size_of_one() const { return static_cast<std::size_t>(config().channels) * plane(); }

  static void check(Model const& model, Index height, Index width, SceneOptions const& options) {
    auto const& config = model.config();
    require(model.mesh().world().size() == 1, "scene: the model is one of ", model.mesh().world().size(),
            " ranks: load its checkpoint into a model of one rank, built with Mesh()");
    require(height > 0 && width > 0, "scene: height = ", height, ", width = ", width, ": expected at least one pixel");
    require(options.batch > 0, "scene: batch = ", options.batch, ": expected at least one window");
    Index const margin = options.margin.value_or(0);
    require(margin >= 0 && margin % config.patch == 0 && margin < (std::min(config.height, config.width) + 1) / 2,
            "scene: margin = ", margin, ": expected a multiple of the patch, ", config.patch,
            ", that is less than half of the model's image of ", config.height, " x ", config.width, " pixels");
  }

  std::vector<detail::AxisWindow> windows_along(Index length, Index side) const {
    Index const patch = config().patch;
    return detail::axis_windows(length, side, patch, options_.margin.value_or(side / patch / 4 * patch));
  }

  auto images_of(Index count) const {
    return reshape<Scalar const****, Space>(static_cast<Scalar const*>(images_.device.data()), count, config().channels,
                                            config().height, config().width);
  }

  /// Sees to it that the workspace suffices for body(context, count) with a whole batch.
  template <class Body>
  void prepare(Body const& body) {
    Workspace<Space> measuring;
    body(Context<Space>(measuring), options_.batch);
    if (workspace_.measuring() || workspace_.capacity() < measuring.peak()) workspace_.allocate(measuring.peak());
  }
  template <class Body>
  void run(Body const& body, Index count) {
    body(Context<Space>(workspace_), count);
    Space().fence("scene");
  }

  /// compute(windows) is called when a batch of windows is loaded, answer(window, slot) for each of them, and for those
  /// that have no data.
  template <class Read, class Compute, class Answer>
  void walk(Read const& read, Compute const& compute, Answer const& answer) {
    std::vector<detail::SceneWindow> loaded;
    Index number = 0, done = 0;
    auto const report = [&](detail::SceneWindow const& window, std::size_t slot) {
      answer(window, static_cast<Index>(slot));
      if (++done; options_.progress) options_.progress(done, windows());
    };
    auto const finish = [&] {
      if (loaded.empty()) return;
      images_.send();
      compute(std::span<detail::SceneWindow const>(loaded));
      for (std::size_t slot = 0; slot < loaded.size(); ++slot) report(loaded[slot], slot);
      loaded.clear();
    };
    for (auto const& rows : rows_)
      for (auto const& columns : columns_) {
        detail::SceneWindow const window{rows, columns, number++};
        if (load(read, window, loaded.size()))
          loaded.push_back(window);
        else
          report(window, loaded.size());
        if (static_cast<Index>(loaded.size()) == options_.batch) finish();
      }
    finish();
  }

  /// Reads a window into a slot of the batch, standardised and continued beyond the scene; false where it has no data.
  template <class Read>
  bool load(Read const& read, detail::SceneWindow const& window, std::size_t slot) {
    Window const inside = window.inside(height_, width_, config().height, config().width);
    std::size_t const pixels = static_cast<std::size_t>(inside.pixels());
    values_.resize(static_cast<std::size_t>(config().channels) * pixels);
    known_.resize(pixels);
    read(inside, std::span<Scalar>(values_));
    detail::find_complete(std::span<Scalar const>(values_), std::span(known_));
    Scalar* to = images_.host.data() + slot * size_of_one();
    Scalar const* from = values_.data();
    for (std::size_t band = 0; band < statistics_.size(); ++band, from += pixels) {
      double const mean = statistics_[band].mean, deviation = statistics_[band].deviation;
      double const scale = deviation > 0 ? 1 / deviation : 1;
      each_pixel(inside, [&](Index pixel, bool) {
        *to++ = known_[static_cast<std::size_t>(pixel)] != 0
                    ? static_cast<Scalar>(scale * (static_cast<double>(from[pixel]) - mean))
                    : Scalar(0);
      });
    }
    char* complete = complete_.data() + slot * plane();
    each_pixel(inside, [&](Index pixel, bool in_scene) {
      *complete++ = !in_scene || known_[static_cast<std::size_t>(pixel)] != 0;
    });
    return std::any_of(known_.begin(), known_.end(), [](char known) { return known != 0; });
  }

  /// use(pixel, in_scene) for every pixel of a window, row by row: the number of the pixel of its part inside the scene
  /// that stands there, and whether it is there itself and no mirror image.
  template <class Use>
  void each_pixel(Window const& inside, Use const& use) const {
    for (Index y = 0; y < config().height; ++y) {
      Index const row = detail::mirrored(y, inside.height) * inside.width;
      for (Index x = 0; x < inside.width; ++x) use(row + x, y < inside.height);
      for (Index x = inside.width; x < config().width; ++x) use(row + detail::mirrored(x, inside.width), false);
    }
  }

  /// Adds what was answered for the patches that were hidden.
  void add_hidden(detail::HidingOrder const& order, Index pass, std::size_t slot, Scalar const* answer,
                  std::vector<Scalar>& sums, std::vector<Index>& counts) const {
    Index const patch = config().patch, width = config().width, across = width / patch;
    for (Index j = 0; j < config().locations() - config().kept(); ++j) {
      Index const location = order.at(pass, j);
      ++counts[slot * static_cast<std::size_t>(config().locations()) + static_cast<std::size_t>(location)];
      Index const corner = location / across * patch * width + location % across * patch;
      for (std::size_t band = 0; band < statistics_.size(); ++band) {
        std::size_t const first = slot * size_of_one() + band * plane() + static_cast<std::size_t>(corner);
        for (Index y = 0; y < patch; ++y)
          for (Index x = 0; x < patch; ++x) {
            std::size_t const at = first + static_cast<std::size_t>(y * width + x);
            sums[at] += answer[at];
          }
      }
    }
  }

  template <class Write>
  void write_features(detail::SceneWindow const& window, Index slot, Scalar const* rows, Write const& write) {
    Index const patch = config().patch, across = config().width / patch, embed = config().embed;
    Window const answered = window.answered_patches(patch);
    std::size_t const pixels = static_cast<std::size_t>(answered.pixels());
    values_.resize(static_cast<std::size_t>(embed) * pixels);
    for (std::size_t i = 0; i < pixels; ++i) {
      Index const row = answered.top + static_cast<Index>(i) / answered.width - window.rows.start / patch;
      Index const column = answered.left + static_cast<Index>(i) % answered.width - window.columns.start / patch;
      bool const complete = is_complete(slot, row * patch, column * patch);
      Scalar const* const from = rows + (row * across + column) * embed;
      for (Index e = 0; e < embed; ++e)
        values_[static_cast<std::size_t>(e) * pixels + i] = complete ? from[e] : nothing;
    }
    write(answered, std::span<Scalar const>(values_));
  }

  /// Whether all pixels of the patch with that corner have data.
  bool is_complete(Index slot, Index top, Index left) const {
    char const* const corner =
        complete_.data() + static_cast<std::size_t>(slot) * plane() + top * config().width + left;
    for (Index y = 0; y < config().patch; ++y)
      for (Index x = 0; x < config().patch; ++x)
        if (corner[y * config().width + x] == 0) return false;
    return true;
  }

  template <class Write>
  void write_pixels(detail::SceneWindow const& window, Index slot, std::vector<Scalar> const& sums,
                    std::vector<Index> const& counts, Write const& write) {
    Index const patch = config().patch, width = config().width;
    Window const answered = window.answered(height_, width_);
    values_.clear();
    for (std::size_t band = 0; band < statistics_.size(); ++band) {
      Scalar const* const sum = sums.data() + static_cast<std::size_t>(slot) * size_of_one() + band * plane();
      for (Index pixel = 0; pixel < answered.pixels(); ++pixel) {
        Index const y = answered.top + pixel / answered.width - window.rows.start;
        Index const x = answered.left + pixel % answered.width - window.columns.start;
        Index const count =
            counts[static_cast<std::size_t>(slot * config().locations() + y / patch * (width / patch) + x / patch)];
        bool const complete =
            complete_[static_cast<std::size_t>(slot) * plane() + static_cast<std::size_t>(y * width + x)] != 0;
        double const value = static_cast<double>(sum[y * width + x]) / static_cast<double>(count);
        values_.push_back(complete ? static_cast<Scalar>(statistics_[band].mean + statistics_[band].deviation * value)
                                   : nothing);
      }
    }
    write(answered, std::span<Scalar const>(values_));
  }

  static constexpr Scalar nothing = std::numeric_limits<Scalar>::quiet_NaN();

  Model* model_;
  Index height_, width_;
  std::vector<ChannelStatistics> statistics_;
  SceneOptions options_;
  std::vector<detail::AxisWindow> rows_, columns_;
  Transfer<Scalar> images_;     // [batch, bands, height, width] of the model, standardised
  std::vector<char> complete_;  // [batch, height, width]: 0 where a pixel of the scene has no data
  std::vector<Scalar> values_;  // of one window
  std::vector<char> known_;     // [height, width] of what was read of one window
  Workspace<Space> workspace_;
};

}  // namespace dchag
