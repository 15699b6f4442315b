#pragma once

#include <dchag/channels/patches.hpp>
#include <dchag/core/context.hpp>

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

/// The mean over rows and pixels of (prediction - image)^2, each channel times its share [B, channels] where shares are
/// given; the prediction [rows, P channels] becomes slope times share times (prediction - image). Row r is location
/// hidden[r] of image r / per_image. Pixels of no share are not read. Waits for the device; zero in a dry context.
template <class T, class Space>
double reconstruction_error(Context<Space> const& context, channels::PatchGrid const& grid, Index rows, Index per_image,
                            Index const* hidden, T const* images, double slope, T* prediction,
                            T const* shares = nullptr) {
  Index const p = grid.patch, channels = grid.channels, plane = grid.height * grid.width, width = grid.width;
  PatchOrigin const origin{grid.height, grid.width, p, channels};
  auto scope = context.workspace().scope();
  double* const partial = context.workspace().template push<double*>(rows * p).data();
  T const step = static_cast<T>(slope);
  context.loop(
      "dchag::models::reconstruction_error", rows * p,
      KOKKOS_LAMBDA(Index item) {
        constexpr Index block = 16;
        Index const row = item / p, y = item % p;
        T* const pixels = prediction + item * p * channels;
        T const* const corner = images + origin(row / per_image, hidden[row]) + y * width;
        double total = 0;
        for (Index first = 0; first < channels; first += block) {
          Index const end = Kokkos::min(first + block, channels);
          T sum = 0;
          for (Index x = 0; x < p; ++x)
            for (Index c = first; c < end; ++c) {
              T& pixel = pixels[x * channels + c];
              if (shares == nullptr) {
                T const difference = pixel - corner[c * plane + x];
                sum += difference * difference;
                pixel = step * difference;
              } else {
                T const share = shares[row / per_image * channels + c];
                T const difference = share == T{0} ? T{0} : pixel - corner[c * plane + x];
                sum += share * difference * difference;
                pixel = step * share * difference;
              }
            }
          total += static_cast<double>(sum);
        }
        partial[item] = total;
      },
      moves<T>(3 * rows * p * p * channels));
  double const total = context.template sum<double>(
      "dchag::models::reconstruction_error::total", rows * p,
      KOKKOS_LAMBDA(Index item, double& sum) { sum += partial[item]; });
  return rows * channels == 0 ? 0 : total / static_cast<double>(rows * grid.pixels() * channels);
}

}  // namespace dchag::detail
