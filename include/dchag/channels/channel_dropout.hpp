#pragma once

#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <string>

namespace dchag {

/// Drops channels of images in training, so that a model learns to do without: of an image that has C channels the
/// number that stays is drawn from 1..C, all alike, and then which (hierarchical channel sampling, arXiv 2309.16108).
/// Drawn per seed, step and image: the same on every rank of a replica, on any mesh.
struct ChannelDropout {
  std::uint64_t seed = 0;
  bool same_for_batch = false;  // all images of a step lose the same channels

  /// Fills present [B, channels of all ranks] for a Batch of a model. `first` is the number of the batch's first image
  /// among all images of the step. `available`, of the same extents, says what the images have to begin with; nothing:
  /// everything.
  template <class Space>
  void draw(Space const& space, Index step, Index first, View<unsigned char**, Space> const& present,
            View<unsigned char const**, Space> const& available = {}) const;
};

namespace detail {

template <class Space>
void draw_channels(Space const& space, std::uint64_t key, Index first, bool same, Index images, Index channels,
                   unsigned char const* available, unsigned char* present) {
  for_each(
      space, "dchag::channels::draw_channels", images, KOKKOS_LAMBDA(Index b) {
        std::uint64_t const of_image = random_bits(key, same ? 0 : static_cast<std::uint64_t>(first + b));
        unsigned char* const to = present + b * channels;
        Index left = 0;
        for (Index c = 0; c < channels; ++c) {
          to[c] = available == nullptr || available[b * channels + c] != 0 ? 1 : 0;
          left += to[c];
        }
        Index wanted = 1 + static_cast<Index>(random_uniform(of_image, 0) * static_cast<double>(left));
        for (Index c = 0; c < channels; ++c) {
          if (to[c] == 0) continue;
          double const chance = static_cast<double>(wanted) / static_cast<double>(left--);
          to[c] = random_uniform(of_image, static_cast<std::uint64_t>(c) + 1) < chance ? 1 : 0;
          wanted -= to[c];
        }
      });
}

}  // namespace detail

template <class Space>
void ChannelDropout::draw(Space const& space, Index step, Index first, View<unsigned char**, Space> const& present,
                          View<unsigned char const**, Space> const& available) const {
  bool const given = available.extent(0) > 0;
  require(!given || (available.extent(0) == present.extent(0) && available.extent(1) == present.extent(1)),
          "channel dropout: available is [", available.extent(0), ", ", available.extent(1), "], present [",
          present.extent(0), ", ", present.extent(1), "]: give the same extents");
  detail::draw_channels(space, random_key(seed, "channel_dropout." + std::to_string(step)), first, same_for_batch,
                        static_cast<Index>(present.extent(0)), static_cast<Index>(present.extent(1)),
                        given ? available.data() : nullptr, present.data());
}

}  // namespace dchag
