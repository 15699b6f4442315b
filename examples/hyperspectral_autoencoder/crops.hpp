#pragma once

#include <cstdint>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "scene.hpp"

namespace pines {

/// What a crop shows: a square of the scene in one of the 8 symmetries of a square, its spectra changed to
/// gain x + shift (to - from), with the spectra of two pixels.
struct Framing {
  Pixel corner;
  int symmetry = 0;
  float gain = 1, shift = 0;
  Pixel from = {0, 0}, to = {0, 0};
};

/// Where the pixel (i, j) of a crop of that edge lies in its square.
inline Pixel turned(int symmetry, int edge, int i, int j) {
  int const r = symmetry & 1 ? edge - 1 - i : i, c = symmetry & 2 ? edge - 1 - j : j;
  return symmetry & 4 ? Pixel{c, r} : Pixel{r, c};
}

/// A batch of square crops of one edge with the visible patches of each, filled on the host and handed to a model. Its
/// bands are the scene's: those of this rank.
template <class Model>
class Crops {
 public:
  using Space = typename Model::Space;
  using Batch = typename Model::Batch;
  using Host = Kokkos::DefaultHostExecutionSpace;

  Crops(Scene const& scene, dchag::MaskedAutoencoderConfig const& config, std::size_t count)
      : scene_(&scene),
        edge_(static_cast<int>(config.height)),
        patch_(static_cast<int>(config.patch)),
        count_(count),
        kept_(static_cast<std::size_t>(config.kept())),
        images_("crops", count * size_of_one()),
        keep_("visible patches", count * kept_),
        host_images_(Kokkos::create_mirror_view(images_)),
        host_keep_(Kokkos::create_mirror_view(keep_)) {}

  std::size_t count() const { return count_; }
  int edge() const { return edge_; }
  int patch() const { return patch_; }
  int bands() const { return scene_->bands(); }
  std::size_t pixels() const { return static_cast<std::size_t>(edge_ * edge_); }
  std::size_t size_of_one() const { return static_cast<std::size_t>(bands()) * pixels(); }

  /// Of a batch where the model runs.
  std::size_t bytes() const { return images_.size() * sizeof(float) + keep_.size() * sizeof(Index); }

  /// A band of a crop, [edge, edge].
  std::span<float const> band(std::size_t crop, int band) const {
    return {host_images_.data() + crop * size_of_one() + static_cast<std::size_t>(band) * pixels(), pixels()};
  }
  std::span<Index const> visible(std::size_t crop) const { return {host_keep_.data() + crop * kept_, kept_}; }

  /// Fills every crop, in parallel, on the host: show(crop) is its Framing. Which patches of the square are visible is
  /// drawn from the key for the number first + crop, whatever the symmetry.
  template <class Show>
  void fill(std::uint64_t key, std::uint64_t first, Show const& show) {
    Kokkos::fence("crops");  // what was filled before may still be on its way to the device
    Kokkos::parallel_for("crops", Kokkos::RangePolicy<Host>(0, static_cast<int>(count_)), [&](int i) {
      std::size_t const crop = static_cast<std::size_t>(i);
      Framing const framing = show(crop);
      copy(framing, host_images_.data() + crop * size_of_one());
      draw_visible(dchag::random_bits(key, first + crop), framing.symmetry, {host_keep_.data() + crop * kept_, kept_});
    });
    Host().fence("crops");
  }

  /// The crops where the model runs; they stay as they are until the next fill().
  Batch upload() {
    Kokkos::deep_copy(images_, host_images_);
    Kokkos::deep_copy(keep_, host_keep_);
    Index const count = static_cast<Index>(count_);
    return {
        dchag::reshape<float const****, Space>(static_cast<float const*>(images_.data()), count, bands(), edge_, edge_),
        dchag::reshape<Index const**, Space>(static_cast<Index const*>(keep_.data()), count, kept_)};
  }

 private:
  void copy(Framing const& framing, float* to) const {
    std::size_t const plane = scene_->values_per_band();
    float const *square = scene_->at(framing.corner), *low = scene_->at(framing.from), *high = scene_->at(framing.to);
    auto const place = [&](int i, int j) {
      auto const [r, c] = turned(framing.symmetry, edge_, i, j);
      return static_cast<std::ptrdiff_t>(r * scene_->columns() + c);
    };
    std::ptrdiff_t const step = edge_ > 1 ? place(0, 1) - place(0, 0) : 0;
    for (int k = 0; k < bands(); ++k, square += plane, low += plane, high += plane) {
      float const shift = framing.shift * (*high - *low);
      for (int i = 0; i < edge_; ++i) {
        float const* from = square + place(i, 0);
        for (int j = 0; j < edge_; ++j, from += step) *to++ = framing.gain * *from + shift;
      }
    }
  }

  /// The first patches of the square in a random order (Fisher and Yates), as locations of the crop.
  void draw_visible(std::uint64_t key, int symmetry, std::span<Index> visible) const {
    int const across = edge_ / patch_;
    std::vector<int> order(static_cast<std::size_t>(across * across));
    std::iota(order.begin(), order.end(), 0);
    std::vector<bool> chosen(order.size(), false);
    for (std::size_t i = 0; i < visible.size(); ++i) {
      std::swap(order[i], order[i + dchag::random_bits(key, i) % (order.size() - i)]);
      chosen[static_cast<std::size_t>(order[i])] = true;
    }
    std::size_t next = 0;
    for (int l = 0; l < across * across; ++l) {
      auto const [r, c] = turned(symmetry, across, l / across, l % across);
      if (chosen[static_cast<std::size_t>(r * across + c)]) visible[next++] = l;
    }
  }

  Scene const* scene_;
  int edge_, patch_;
  std::size_t count_, kept_;
  Kokkos::View<float*, typename Space::device_type> images_;
  Kokkos::View<Index*, typename Space::device_type> keep_;
  typename decltype(images_)::host_mirror_type host_images_;
  typename decltype(keep_)::host_mirror_type host_keep_;
};

}  // namespace pines
