#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>

namespace dchag::detail {

/// Rows of images [B, C, H, W], numbered one after the other, of which one image may stand for all, and one channel.
template <class T>
struct ImageRows {
  T const* data;
  Index channels, height, width;       // of what they are for
  Index image_stride, channel_stride;  // zero where one is for all

  KOKKOS_FUNCTION T const* row(Index row) const {
    return data + row / (channels * height) * image_stride + row / height % channels * channel_stride +
           row % height * width;
  }
};

/// [B or 1, C or 1, H, W] for images [B, C, H, W]. Throws, with `what` before the extents, where they do not fit.
template <class V, class Images>
auto image_rows(char const* what, V const& given, Images const& images) {
  auto const extent = [](auto const& view, unsigned axis) { return static_cast<Index>(view.extent(axis)); };
  auto const fits = [&](unsigned axis) {
    return extent(given, axis) == extent(images, axis) || (axis < 2 && extent(given, axis) == 1);
  };
  require(fits(0) && fits(1) && fits(2) && fits(3), what, " [", extent(given, 0), ", ", extent(given, 1), ", ",
          extent(given, 2), ", ", extent(given, 3), "], expected [", extent(images, 0), " or 1, ", extent(images, 1),
          " or 1, ", extent(images, 2), ", ", extent(images, 3), "]");
  Index const plane = extent(given, 2) * extent(given, 3);
  return ImageRows<typename V::non_const_value_type>{given.data(),
                                                     extent(images, 1),
                                                     extent(images, 2),
                                                     extent(images, 3),
                                                     extent(given, 0) == 1 ? 0 : extent(given, 1) * plane,
                                                     extent(given, 1) == 1 ? 0 : plane};
}

}  // namespace dchag::detail
