#include <doctest/doctest.h>

#include <dchag/channels/tile.hpp>

#include "space.hpp"

using namespace dchag;
using tests::Space;

TEST_CASE_TEMPLATE("tiles cover every row once, in whole vector registers, at an odd pitch", T, float, double) {
  for (Index rows : {1, 7, 15, 16, 17, 100, 128, 129, 255, 324, 512, 1000, 65536}) {
    CAPTURE(rows);
    Tiling const tiling = Tiling::of<T, Space>(rows);
    Index covered = 0;
    for (Index tile = 0; tile < tiling.tiles; ++tile) {
      CHECK(tile * tiling.width == covered);
      CHECK(covered < rows);
      covered = std::min(rows, covered + tiling.width);
    }
    CHECK(covered == rows);
    CHECK(tiling.width % lane_count<T, Space> == 0);
    CHECK(tiling.pitch >= tiling.width);
    CHECK(tiling.pitch / std::max<Index>(lane_count<T, Space>, 8) % 2 == 1);
    CHECK(tiling.tiles * tiling.width - rows <
          tiling.tiles * std::max<Index>(lane_count<T, Space>, 8));  // little padding
  }
  CHECK(Tiling::of<T, Space>(0).tiles == 0);
}

TEST_CASE_TEMPLATE("a tile of several blocks gives each of them the same columns, in whole vector registers", T, float,
                   double) {
  for (Index blocks : {2, 3, 8, 100})
    for (Index rows : {1, 16, 43, 129, 5000}) {
      CAPTURE(blocks);
      CAPTURE(rows);
      Tiling const tiling = Tiling::of<T, Space>(rows, blocks), block = tiling.of_block(rows);
      CHECK(tiling.rows == rows * blocks);
      CHECK(tiling.block() * blocks == tiling.width);
      CHECK(tiling.block() % lane_count<T, Space> == 0);
      CHECK(tiling.tiles * tiling.block() >= rows);
      CHECK((tiling.tiles - 1) * tiling.block() < rows);
      CHECK(tiling.pitch >= tiling.width);
      CHECK((block.rows == rows && block.tiles == tiling.tiles && block.width == tiling.block()));
      CHECK((block.pitch == tiling.pitch && block.blocks == 1));
    }
}

TEST_CASE("chunks are of nearly one size and fit the caches") {
  Index const each = 10000;
  for (Index channels : {1, 5, 104, 105, 500}) {
    Index const chunk = chunk_channels<float, Space>(channels, each), chunks = ceil_div(channels, chunk);
    CHECK(chunk * each * 4 <= Pieces::of<Space>().chunk_bytes);
    CHECK(chunks * chunk - channels < chunks);
  }
  CHECK(chunk_channels<float, Space>(3, Index{1} << 40) == 1);
}
