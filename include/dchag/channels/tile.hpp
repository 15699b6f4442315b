#pragma once

#include <algorithm>
#include <dchag/core/lanes.hpp>
#include <dchag/core/pieces.hpp>
#include <dchag/core/types.hpp>
#include <dchag/linalg/matrix.hpp>

namespace dchag {

/// How the rows (image, location) of a batch are cut into tiles. Inside a tile the row is the fastest index of every
/// array: patches [channels, P, pitch], tokens [tokens, D, pitch]. Only the first `width` of `pitch` entries are used;
/// what is beyond the rows is padding, whose patches and gradients are zero. The pitch is an odd number of vector
/// registers, so that walking down a column does not fall on the same few cache sets.
///
/// Where every rank of a group is to get the tokens of its own rows, a tile has as many blocks of columns as there are
/// ranks, side by side: the next rows of each.
struct Tiling {
  Index rows = 0, tiles = 0, width = 0, pitch = 0;
  Index blocks = 1;

  /// For that many rows, or where there are several blocks for that many in each.
  template <class T, class Space>
  static Tiling of(Index rows, Index blocks = 1) {
    Pieces const pieces = Pieces::of<Space>();
    Index const lanes = pieces.host ? std::max<Index>(lane_count<T, Space>, 8) : 32;
    Index const target = std::max<Index>(pieces.tile_rows / blocks, lanes);
    Tiling tiling;
    tiling.rows = rows * blocks;
    tiling.tiles = ceil_div(rows, target);
    Index const block = round_up(ceil_div(rows, std::max<Index>(tiling.tiles, 1)), lanes);
    tiling.tiles = block > 0 ? ceil_div(rows, block) : 0;
    tiling.width = block * blocks;
    tiling.pitch = (tiling.width / lanes) % 2 == 1 ? tiling.width : tiling.width + lanes;
    tiling.blocks = blocks;
    return tiling;
  }

  Index block() const { return width / blocks; }
  /// One block of columns by itself, of which that many rows are used; it begins at column block() * its number.
  Tiling of_block(Index block_rows) const { return {block_rows, tiles, block(), pitch, 1}; }
};

/// Channels in a chunk when each takes that many elements: chunks of one size, or nearly, that fit Pieces::chunk_bytes.
template <class T, class Space>
Index chunk_channels(Index channels, Index elements_each) {
  Index const fitting = std::max<Index>(
      1, Pieces::of<Space>().chunk_bytes / std::max<Index>(1, elements_each * static_cast<Index>(sizeof(T))));
  return ceil_div(std::max<Index>(channels, 1), ceil_div(std::max<Index>(channels, 1), fitting));
}

/// The used part [rows, width] of an array [.., pitch] that starts at data.
template <class T>
linalg::Matrix<T> tile_matrix(T* data, Index rows, Tiling const& tiling) {
  return {data, rows, tiling.width, tiling.pitch};
}

}  // namespace dchag
