#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>

namespace dchag::channels {

/// An image grid of patches: locations are numbered row by row, pixels inside a patch too.
struct PatchGrid {
  Index channels, height, width, patch;  // channels and edges in pixels

  Index pixels() const { return patch * patch; }  // P
  Index locations() const { return (height / patch) * (width / patch); }
};

/// Whether an image lacks the c-th of the channels that a rank owns.
struct AbsentChannels {
  int const* present = nullptr;  // [B, channels of all ranks]; null: it lacks none
  Index const* own = nullptr;    // [channels of this rank] among all
  Index all = 0;

  KOKKOS_INLINE_FUNCTION bool operator()(Index image, Index c) const {
    return present != nullptr && present[image * all + own[c]] == 0;
  }
};

/// Gathers the patches [channels, P, pitch] of one tile from images [B, C, H, W]. Row n is location keep[n] of image
/// n / per_image, where keep [B, per_image] lists the locations wanted; without it (null) all of them in order. Padding
/// rows become zero, and so do the patches of channels that an image lacks, whatever its memory holds: where `absent`
/// says so.
template <class T, class Space>
void gather_patches(Context<Space> const& context, PatchGrid const& grid, Tiling const& tiling, Index tile,
                    T const* images, Index const* keep, Index per_image, T* patches, AbsentChannels absent = {}) {
  constexpr int lanes = lane_count<T, Space>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch, rows = tiling.rows, begin = tiling.begin(tile);
  Index const channels = grid.channels, p = grid.patch, pixels = grid.pixels(), across = grid.width / p;
  Index const width = grid.width, plane = grid.height * grid.width;
  context.loop(
      "dchag::channels::gather_patches", channels * blocks, KOKKOS_LAMBDA(Index item) {
        Index const first = item % blocks * lanes, c = item / blocks;
        Index const valid = Kokkos::max<Index>(0, Kokkos::min<Index>(lanes, rows - begin - first));
        T* const to = patches + c * pixels * pitch + first;
        for (int lane = 0; lane < lanes; ++lane) {
          Index const n = begin + first + lane;
          bool const zero = lane >= valid || absent(n / per_image, c);
          Index const location = lane >= valid ? 0 : keep != nullptr ? keep[n] : n % per_image;
          T const* const corner = images + ((lane >= valid ? 0 : n / per_image) * channels + c) * plane +
                                  location / across * p * width + location % across * p;
          for (Index y = 0; y < p; ++y)
            for (Index x = 0; x < p; ++x) to[(y * p + x) * pitch + lane] = zero ? T{0} : corner[y * width + x];
        }
      });
}

/// tokens[n, e] = tiled[tile, e, n] for the rows that are not padding, plus what `extra(n, e)` answers.
template <class T, class Space, class Extra>
void rows_from_tiles(Context<Space> const& context, Tiling const& tiling, Index embed, T const* tiled,
                     Extra const& extra, T* tokens) {
  constexpr Index side = 16;
  Index const across = ceil_div(embed, side), pitch = tiling.pitch, width = tiling.width, rows = tiling.rows;
  context.loop(
      "dchag::channels::rows_from_tiles", ceil_div(rows, side) * across, KOKKOS_LAMBDA(Index item) {
        Index const first = item / across * side, begin = item % across * side;
        for (Index n = first; n < Kokkos::min(first + side, rows); ++n)
          for (Index e = begin; e < Kokkos::min(begin + side, embed); ++e)
            tokens[n * embed + e] = tiled[(n / width * embed + e) * pitch + n % width] + extra(n, e);
      });
}

/// The transpose of rows_from_tiles: tiled[tile, e, n] = gradient[n, e], zero for padding rows.
template <class T, class Space>
void tiles_from_rows(Context<Space> const& context, Tiling const& tiling, Index embed, T const* gradient, T* tiled) {
  constexpr Index side = 16;
  Index const across = ceil_div(embed, side), pitch = tiling.pitch, width = tiling.width, rows = tiling.rows;
  context.loop(
      "dchag::channels::tiles_from_rows", ceil_div(tiling.tiles * width, side) * across, KOKKOS_LAMBDA(Index item) {
        Index const first = item / across * side, begin = item % across * side;
        for (Index e = begin; e < Kokkos::min(begin + side, embed); ++e)
          for (Index n = first; n < Kokkos::min(first + side, tiling.tiles * width); ++n)
            tiled[(n / width * embed + e) * pitch + n % width] = n < rows ? gradient[n * embed + e] : T{0};
      });
}

}  // namespace dchag::channels
