#pragma once

#include <algorithm>
#include <dchag/core/lanes.hpp>
#include <dchag/core/types.hpp>
#include <dchag/linalg/matrix.hpp>

namespace dchag {

/// How the rows (image, location) of a batch are cut into tiles. Inside a tile the row is the fastest index of every
/// array: patches [channels, P, pitch], tokens [tokens, D, pitch]. Only the first `width` of `pitch` entries are used;
/// rows beyond `rows` are padding, whose patches and gradients are zero. The pitch is an odd number of vector
/// registers, so that walking down a column does not fall on the same few cache sets.
struct Tiling {
  Index rows = 0, tiles = 0, width = 0, pitch = 0;

  template <class T, class Space>
  static Tiling of(Index rows) {
    constexpr Index lanes = on_host<Space> ? std::max(lane_count<T, Space>, 8) : 32;
    constexpr Index target = on_host<Space> ? 128 : 4096;
    Tiling tiling;
    tiling.rows = rows;
    tiling.tiles = ceil_div(rows, target);
    tiling.width = round_up(ceil_div(rows, std::max<Index>(tiling.tiles, 1)), lanes);
    tiling.tiles = tiling.width > 0 ? ceil_div(rows, tiling.width) : 0;
    tiling.pitch = (tiling.width / lanes) % 2 == 1 ? tiling.width : tiling.width + lanes;
    return tiling;
  }
  Index begin(Index tile) const { return tile * width; }
};

/// Bytes of temporaries that the loops over channels aim at: what the caches of a host hold, enough work to fill a
/// device.
template <class Space>
inline constexpr Index chunk_bytes = on_host<Space> ? Index{4} << 20 : Index{256} << 20;

/// Channels in a chunk when each takes that many elements: chunks of one size, or nearly, that fit chunk_bytes.
template <class T, class Space>
Index chunk_channels(Index channels, Index elements_each) {
  Index const fitting =
      std::max<Index>(1, chunk_bytes<Space> / std::max<Index>(1, elements_each * static_cast<Index>(sizeof(T))));
  return ceil_div(std::max<Index>(channels, 1), ceil_div(std::max<Index>(channels, 1), fitting));
}

/// The used part [rows, width] of an array [.., pitch] that starts at data.
template <class T>
linalg::Matrix<T> tile_matrix(T* data, Index rows, Tiling const& tiling) {
  return {data, rows, tiling.width, tiling.pitch};
}

}  // namespace dchag
