#include <doctest/doctest.h>

#include <dchag/channels/patches.hpp>
#include <vector>

#include "space.hpp"

using namespace dchag;
using tests::Space;

namespace {

template <class T>
std::vector<T> host(Kokkos::View<T*, Space> const& view) {
  auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
  return {mirror.data(), mirror.data() + mirror.size()};
}

template <class T>
Kokkos::View<T*, Space> device(std::vector<T> const& values) {
  Kokkos::View<T*, Space> const view("values", values.size());
  Kokkos::deep_copy(view, Kokkos::View<T const*, Kokkos::HostSpace>(values.data(), values.size()));
  return view;
}

}  // namespace

namespace {

channels::PatchGrid const grid{3, 4, 18, 2};  // C, H, W, p
constexpr Index images = 5;

/// The rows that each column of each tile has, -1 for padding, [tiles * width].
using Columns = std::vector<Index>;

void check_patches(Tiling const& tiling, channels::TileRows const& rows, std::vector<Index> const& keep,
                   Columns const& columns) {
  std::vector<float> image(static_cast<std::size_t>(images * 3 * 4 * 18));
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i + 1);
  Index const per_image = rows.images * rows.shares.extent / images;
  auto const images_view = device(image);
  auto const keep_view = device(keep);
  Kokkos::View<float*, Space> const patches("patches", static_cast<std::size_t>(3 * 4 * tiling.pitch));
  Kokkos::View<Index*, Space> const image_of("image_of", columns.size()), corners("corners", columns.size());
  channels::PatchPlaces const places{image_of.data(), corners.data()};
  Workspace<Space> workspace(1024);
  Context<Space> const context(workspace);
  channels::find_patches(
      context, grid, tiling, rows,
      keep.empty() ? static_cast<Index const*>(nullptr) : static_cast<Index const*>(keep_view.data()), per_image,
      places);
  for (Index tile = 0; tile < tiling.tiles; ++tile) {
    Kokkos::deep_copy(patches, -1.0f);
    channels::gather_patches(context, grid, tiling, static_cast<float const*>(images_view.data()),
                             places.of_tile(tiling, tile), patches.data());
    auto const result = host(patches);
    for (Index c = 0; c < 3; ++c)
      for (Index p = 0; p < 4; ++p)
        for (Index k = 0; k < tiling.pitch; ++k) {
          Index const n = k < tiling.width ? columns[static_cast<std::size_t>(tile * tiling.width + k)] : -1;
          float expected = k < tiling.width ? 0 : -1;
          if (n >= 0) {
            Index const b = n / per_image, location = keep.empty() ? n % per_image : keep[static_cast<std::size_t>(n)];
            Index const y = location / 9 * 2 + p / 2, x = location % 9 * 2 + p % 2;
            expected = static_cast<float>(((b * 3 + c) * 4 + y) * 18 + x + 1);
          }
          REQUIRE(result[static_cast<std::size_t>((c * 4 + p) * tiling.pitch + k)] == expected);
        }
  }
}

std::vector<Index> some_locations(Index kept) {
  std::vector<Index> keep;
  for (Index n = 0; n < images * kept; ++n) keep.push_back((n * 5 + n / kept) % grid.locations());
  return keep;
}

}  // namespace

TEST_CASE("patches of the locations asked for are gathered with the row fastest, and padding is zero") {
  for (Index kept : {Index{0}, Index{7}}) {
    Index const rows = images * (kept == 0 ? grid.locations() : kept);
    Tiling const tiling{rows, ceil_div(rows, 16), 16, 16 + lane_count<float, Space>};
    Columns columns;
    for (Index n = 0; n < tiling.tiles * tiling.width; ++n) columns.push_back(n < rows ? n : -1);
    check_patches(tiling, {1, Shares::even(rows, 1), 0}, some_locations(kept), columns);
  }
}

TEST_CASE("where a tile has a block of columns for each rank, it gathers the patches of that rank's locations") {
  Index const kept = 13, ranks = 3, block = 16;  // locations of the ranks: 5, 4, 4 of each image
  Tiling const tiling{images * 5 * ranks, 2, block * ranks, block * ranks, ranks};
  Columns columns(static_cast<std::size_t>(tiling.tiles * tiling.width), -1);
  std::vector<std::vector<Index>> const locations{{0, 1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
  for (Index rank = 0; rank < ranks; ++rank) {
    Index own_row = 0;
    for (Index b = 0; b < images; ++b)
      for (Index location : locations[static_cast<std::size_t>(rank)]) {
        columns[static_cast<std::size_t>(own_row / block * tiling.width + rank * block + own_row % block)] =
            b * kept + location;
        ++own_row;
      }
  }
  check_patches(tiling, {images, Shares::even(kept, ranks), 0}, some_locations(kept), columns);
}

namespace {
struct Row {
  KOKKOS_FUNCTION double operator()(Index n, Index) const { return 1000.0 * static_cast<double>(n); }
};
}  // namespace

TEST_CASE("rows become tiles and tiles rows") {
  Index const embed = 21;
  Tiling const tiling = Tiling::of<double, Space>(300);
  std::vector<double> rows(static_cast<std::size_t>(300 * embed));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<double>(i);
  auto const from = device(rows);
  Kokkos::View<double*, Space> const tiled("tiled", static_cast<std::size_t>(tiling.tiles * embed * tiling.pitch));
  Kokkos::View<double*, Space> const back("back", rows.size());
  Kokkos::deep_copy(tiled, -1.0);
  Workspace<Space> workspace(1024);
  Context<Space> const context(workspace);
  channels::tiles_from_rows(context, tiling, embed, static_cast<double const*>(from.data()), tiled.data());
  channels::rows_from_tiles(context, tiling, embed, static_cast<double const*>(tiled.data()), Row(), back.data());
  auto const result = host(back), tiles = host(tiled);
  for (Index n = 0; n < 300; ++n)
    for (Index e = 0; e < embed; ++e)
      REQUIRE(result[static_cast<std::size_t>(n * embed + e)] ==
              rows[static_cast<std::size_t>(n * embed + e)] + 1000.0 * static_cast<double>(n));
  for (Index n = 300; n < tiling.tiles * tiling.width; ++n)
    for (Index e = 0; e < embed; ++e)
      REQUIRE(tiles[static_cast<std::size_t>((n / tiling.width * embed + e) * tiling.pitch + n % tiling.width)] == 0.0);
}
