#pragma once

#include <dchag/channels/patches.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/pieces.hpp>

// Between rows of pixels [B L, P channels], the channel fastest, and images [B, channels, H, W].
namespace dchag::detail {

/// The offset in an image batch of channel 0 of the first pixel of row `location` of image b.
struct PatchOrigin {
  Index height, width, patch, channels;

  KOKKOS_INLINE_FUNCTION Index operator()(Index image, Index location) const {
    Index const across = width / patch;
    return image * channels * height * width + location / across * patch * width + location % across * patch;
  }
};

/// images = rows, or rows = images where `back`.
template <class T, class Space>
void rows_to_images(Context<Space> const& context, channels::PatchGrid const& grid, Index images, T* rows, T* to,
                    bool back) {
  Index const p = grid.patch, channels = grid.channels, plane = grid.height * grid.width, width = grid.width;
  Index const locations = grid.locations();
  PatchOrigin const origin{grid.height, grid.width, p, channels};
  context.loop(
      "dchag::models::rows_to_images", images * locations * p,
      KOKKOS_LAMBDA(Index item) {
        Index const row = item / p, y = item % p;
        T* const pixels = rows + (row * p + y) * p * channels;
        T* const corner = to + origin(row / locations, row % locations) + y * width;
        for (Index c = 0; c < channels; ++c)
          for (Index x = 0; x < p; ++x)
            if (back)
              pixels[x * channels + c] = corner[c * plane + x];
            else
              corner[c * plane + x] = pixels[x * channels + c];
      },
      moves<T>(2 * images * locations * p * p * channels));
}

/// What each of `count` own channels of an image counts in a mean over all channels that the image has: [B, count],
/// zero where it lacks the channel, else all channels over those that it has; pushed on the workspace. Null where no
/// image lacks any.
template <class T, class Space>
T const* channel_shares(Context<Space> const& context, View<unsigned char const**, Space> const& present, Index count,
                        Index const* own) {
  Index const images = static_cast<Index>(present.extent(0)), all = static_cast<Index>(present.extent(1));
  if (images == 0) return nullptr;
  T* const shares = context.workspace().template push<T**>(images, count).data();
  unsigned char const* const flags = present.data();
  context.loop(
      "dchag::models::channel_shares", images, KOKKOS_LAMBDA(Index b) {
        Index has = 0;
        for (Index c = 0; c < all; ++c) has += flags[b * all + c] != 0 ? 1 : 0;
        for (Index k = 0; k < count; ++k)
          shares[b * count + k] = flags[b * all + own[k]] == 0 ? T{0} : static_cast<T>(all) / static_cast<T>(has);
      });
  return shares;
}

/// The squared error of one patch and its slope, for channels of which a register L has some.
template <class T>
struct PatchError {
  T* prediction;    // [P, channels]
  T const* corner;  // of the patch in the image, channel 0
  T const* shares;  // [channels], or null: all count one
  T step;
  Index channels, plane, width, patch;

  /// Rows first .. end of the patch, channels from c on that L has lanes for.
  template <class L>
  KOKKOS_FUNCTION double channels_from(Index c, Index first, Index end) const {
    constexpr int lanes = static_cast<int>(sizeof(L) / sizeof(T));
    constexpr Index columns = 8;
    L const one = broadcast<L>(T{1}), share = shares == nullptr ? one : load<L>(shares + c);
    double total = 0;
    for (Index y = first; y < end; ++y) {
      fetch_ahead(c, lanes, y);
      L sum{};
      for (Index x = 0; x < patch; x += columns) {
        Index const here = Kokkos::min(columns, patch - x);
        T const* const image = corner + c * plane + y * width + x;
        T targets[columns * lanes];
        turn_rows<lanes>([&](int lane) { return image + lane * plane; }, here, targets, lanes);
        for (Index k = 0; k < here; ++k) {
          T* const at = prediction + (y * patch + x + k) * channels + c;
          L difference = load<L>(at) - load<L>(targets + k * lanes);
          if (shares != nullptr) difference = share == L{} ? L{} : difference;
          L const slope = share * difference;
          sum += slope * difference;
          store(at, slope * step);
        }
      }
      total += static_cast<double>(sum_lanes(sum, prediction));
    }
    return total;
  }

  /// While row y of some channels is worked on: a like share of the next patch's prediction, and that row of the next
  /// channels. No host's own prefetching follows strides as long as these.
  /// (In line: a compiler may drop calls of a function that does nothing else.)
  KOKKOS_FORCEINLINE_FUNCTION void fetch_ahead(Index c, Index lanes, Index y) const {
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    T const* const next = prediction + patch * patch * (channels + c) + y * patch * lanes;
    for (Index k = 0; k < patch * lanes; k += line) prefetch(next + k);
    for (Index lane = 0; lane < lanes; ++lane) prefetch(corner + (c + lanes + lane) * plane + y * width);
  }
};

/// The mean over rows and pixels of (prediction - image)^2, each channel times its share [B, channels] where shares are
/// given; the prediction [rows, P channels] becomes slope times share times (prediction - image). Its row r is location
/// hidden[first_row + r] of image (first_row + r) / per_image. Pixels of no share may be anything. Waits for the
/// device; zero in a dry context.
///
/// A host thread takes a patch, some channels at a time: whole cache lines of few planes. A device's, one row of it.
template <class T, class Space>
double reconstruction_error(Context<Space> const& context, channels::PatchGrid const& grid, Index rows, Index per_image,
                            Index const* hidden, T const* images, double slope, T* prediction,
                            T const* shares = nullptr, Index first_row = 0) {
  Index const p = grid.patch, channels = grid.channels, plane = grid.height * grid.width, width = grid.width;
  PatchOrigin const origin{grid.height, grid.width, p, channels};
  Index const parts = Pieces::of<Space>().host ? 1 : p, items = rows * parts;
  auto scope = context.workspace().scope();
  double* const partial = context.workspace().template push<double*>(items).data();
  T const step = static_cast<T>(slope);
  context.loop(
      "dchag::models::reconstruction_error", items,
      KOKKOS_LAMBDA(Index item) {
        constexpr int lanes = lane_count<T, Space>;
        Index const row = item / parts, image = (first_row + row) / per_image, first = item % parts * (p / parts),
                    end = first + p / parts;
        PatchError<T> const patch{prediction + row * p * p * channels,
                                  images + origin(image, hidden[first_row + row]),
                                  shares == nullptr ? nullptr : shares + image * channels,
                                  step,
                                  channels,
                                  plane,
                                  width,
                                  p};
        double total = 0;
        Index c = 0;
        for (; c + lanes <= channels; c += lanes) total += patch.template channels_from<Lanes<T, lanes>>(c, first, end);
        for (; c < channels; ++c) total += patch.template channels_from<T>(c, first, end);
        partial[item] = total;
      },
      moves<T>(3 * rows * p * p * channels));
  double const total = context.template sum<double>(
      "dchag::models::reconstruction_error::total", items,
      KOKKOS_LAMBDA(Index item, double& sum) { sum += partial[item]; });
  return rows * channels == 0 ? 0 : total / static_cast<double>(rows * grid.pixels() * channels);
}

}  // namespace dchag::detail
