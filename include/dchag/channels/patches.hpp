#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/parallel/shares.hpp>

namespace dchag::channels {

/// An image grid of patches: locations are numbered row by row, pixels inside a patch too.
struct PatchGrid {
  Index channels, height, width, patch;  // channels and edges in pixels

  Index pixels() const { return patch * patch; }  // P
  Index locations() const { return (height / patch) * (width / patch); }
};

/// Which rows a tiling has: all of them in one block, or each rank's own in a block of its own.
struct TileRows {
  Index images;
  Shares shares;  // of the rows of an image
  Index rank;     // whose rows the first block has

  KOKKOS_FUNCTION Index count(Index of_rank) const { return images * shares.count(of_rank); }
  KOKKOS_FUNCTION OwnRows of(Index of_rank) const {
    return {shares.extent, shares.first(of_rank), shares.count(of_rank)};
  }
};

/// Of each column of each tile the image, -1 for padding, and where in a channel of it the patch begins.
struct PatchPlaces {
  Index *image = nullptr, *corner = nullptr;  // [tiles, width]

  PatchPlaces of_tile(Tiling const& tiling, Index tile) const {
    return {image + tile * tiling.width, corner + tile * tiling.width};
  }
};

/// Finds the patches of a batch. Row n is location keep[n] of image n / per_image, where keep [B, per_image] lists the
/// locations wanted; without it (null) all of them in order.
template <class Space>
void find_patches(Context<Space> const& context, PatchGrid const& grid, Tiling const& tiling, TileRows const& rows,
                  Index const* keep, Index per_image, PatchPlaces const& places) {
  Index const width = tiling.width, block = tiling.block(), p = grid.patch, across = grid.width / p;
  Index const row_pixels = grid.width;
  context.loop(
      "dchag::channels::find_patches", tiling.tiles * width, KOKKOS_LAMBDA(Index item) {
        Index const rank = rows.rank + item % width / block, own_row = item / width * block + item % block;
        bool const padding = own_row >= rows.count(rank);
        Index const n = padding ? 0 : rows.of(rank).row(own_row);
        Index const location = padding ? 0 : keep != nullptr ? keep[n] : n % per_image;
        places.image[item] = padding ? -1 : n / per_image;
        places.corner[item] = location / across * p * row_pixels + location % across * p;
      });
}

/// Whether an image lacks the c-th of the channels that a rank owns.
struct AbsentChannels {
  int const* present = nullptr;  // [B, channels of all ranks]; null: it lacks none
  Index const* own = nullptr;    // [channels of this rank] among all
  Index all = 0;

  KOKKOS_INLINE_FUNCTION bool operator()(Index image, Index c) const {
    return present != nullptr && present[image * all + own[c]] == 0;
  }
};

/// Gathers the patches [channels, P, pitch] of one tile from images [B, C, H, W]. Padding rows become zero, and so do
/// the patches of channels that an image lacks, whatever its memory holds: where `absent` says so.
template <class T, class Space>
void gather_patches(Context<Space> const& context, PatchGrid const& grid, Tiling const& tiling, T const* images,
                    PatchPlaces const& places, T* patches, AbsentChannels absent = {}) {
  constexpr int lanes = lane_count<T, Space>;
  constexpr Index together = on_host<Space> ? 8 : 1;  // channels that share the search for the patches
  constexpr Index line = 64 / sizeof(T);
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch, p = grid.patch, pixels = grid.pixels();
  Index const channels = grid.channels, width = grid.width, plane = grid.height * grid.width;
  context.loop(
      "dchag::channels::gather_patches", ceil_div(channels, together) * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const first = item % blocks * lanes, begin = item / blocks * together;
        Index const end = Kokkos::min(channels, begin + together);
        Index image[lanes], corner[lanes];
        for (int lane = 0; lane < lanes; ++lane) {
          image[lane] = places.image[first + lane];
          corner[lane] = image[lane] * channels * plane + places.corner[first + lane];
        }
        for (Index c = begin; c < end; ++c) {
          T const* from[lanes];  // null: zeros
          bool all = true;
          for (int lane = 0; lane < lanes; ++lane) {
            bool const lacks = image[lane] < 0 || absent(image[lane], c);
            from[lane] = lacks ? nullptr : images + corner[lane] + c * plane;
            all = all && !lacks;
          }
          T* to = patches + c * pixels * pitch + first;
          for (Index y = 0; y < p; ++y, to += p * pitch)
            if (all) {
              for (Index x = 0; x < p; x += line) {
                for (int lane = 0; lane < lanes; ++lane) prefetch(from[lane] + plane + y * width + x);
                for (Index k = x; k < Kokkos::min(p, x + line); ++k) prefetch_to_write(to + (p + k) * pitch);
              }
              turn_rows<lanes>([&](int lane) { return from[lane] + y * width; }, p, to, pitch);
            } else
              for (Index x = 0; x < p; ++x)
                for (int lane = 0; lane < lanes; ++lane)
                  to[x * pitch + lane] = from[lane] == nullptr ? T{0} : from[lane][y * width + x];
        }
      },
      moves<T>(2 * channels * pixels * tiling.width));
}

/// tokens[n, e] = tiled[tile, e, n] for the rows that are not padding, plus what `extra(n, e)` answers.
template <class T, class Space, class Extra>
void rows_from_tiles(Context<Space> const& context, Tiling const& tiling, Index embed, T const* tiled,
                     Extra const& extra, T* tokens) {
  constexpr Index side = 16;
  Index const across = ceil_div(embed, side), pitch = tiling.pitch, width = tiling.width, rows = tiling.rows;
  context.loop(
      "dchag::channels::rows_from_tiles", ceil_div(rows, side) * across,
      KOKKOS_LAMBDA(Index item) {
        Index const first = item / across * side, begin = item % across * side;
        for (Index n = first; n < Kokkos::min(first + side, rows); ++n)
          for (Index e = begin; e < Kokkos::min(begin + side, embed); ++e)
            tokens[n * embed + e] = tiled[(n / width * embed + e) * pitch + n % width] + extra(n, e);
      },
      moves<T>(2 * rows * embed));
}

/// The transpose of rows_from_tiles: tiled[tile, e, n] = gradient[n, e], zero for padding rows.
template <class T, class Space>
void tiles_from_rows(Context<Space> const& context, Tiling const& tiling, Index embed, T const* gradient, T* tiled) {
  constexpr Index side = 16;
  Index const across = ceil_div(embed, side), pitch = tiling.pitch, width = tiling.width, rows = tiling.rows;
  context.loop(
      "dchag::channels::tiles_from_rows", ceil_div(tiling.tiles * width, side) * across,
      KOKKOS_LAMBDA(Index item) {
        Index const first = item / across * side, begin = item % across * side;
        for (Index n = first; n < Kokkos::min(first + side, tiling.tiles * width); ++n) {
          T* const column = tiled + n / width * embed * pitch + n % width;
          for (Index e = begin; e < Kokkos::min(begin + side, embed); ++e)
            column[e * pitch] = n < rows ? gradient[n * embed + e] : T{0};
        }
      },
      moves<T>(2 * tiling.tiles * width * embed));
}

}  // namespace dchag::channels
