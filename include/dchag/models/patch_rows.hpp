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
      "dchag::models::rows_to_images", images * locations * p, KOKKOS_LAMBDA(Index item) {
        Index const row = item / p, y = item % p;
        T* const pixels = rows + (row * p + y) * p * channels;
        T* const corner = to + origin(row / locations, row % locations) + y * width;
        for (Index c = 0; c < channels; ++c)
          for (Index x = 0; x < p; ++x)
            if (back)
              pixels[x * channels + c] = corner[c * plane + x];
            else
              corner[c * plane + x] = pixels[x * channels + c];
      });
}

/// The mean over rows and pixels of (prediction - image)^2; the prediction [rows, P channels] becomes slope times
/// (prediction - image). Row r is location hidden[r] of image r / per_image. Waits for the device; zero in a dry
/// context.
template <class T, class Space>
double reconstruction_error(Context<Space> const& context, channels::PatchGrid const& grid, Index rows, Index per_image,
                            Index const* hidden, T const* images, double slope, T* prediction) {
  Index const p = grid.patch, channels = grid.channels, plane = grid.height * grid.width, width = grid.width;
  PatchOrigin const origin{grid.height, grid.width, p, channels};
  auto scope = context.workspace().scope();
  double* const partial = context.workspace().template push<double*>(rows * p).data();
  T const step = static_cast<T>(slope);
  context.loop(
      "dchag::models::reconstruction_error", rows * p, KOKKOS_LAMBDA(Index item) {
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
              T const difference = pixels[x * channels + c] - corner[c * plane + x];
              sum += difference * difference;
              pixels[x * channels + c] = step * difference;
            }
          total += static_cast<double>(sum);
        }
        partial[item] = total;
      });
  double const total = context.template sum<double>(
      "dchag::models::reconstruction_error::total", rows * p,
      KOKKOS_LAMBDA(Index item, double& sum) { sum += partial[item]; });
  return rows * channels == 0 ? 0 : total / static_cast<double>(rows * grid.pixels() * channels);
}

}  // namespace dchag::detail
