#include <doctest/doctest.h>
#include <mpi.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "mpi_front_end_case.hpp"

using namespace dchag;
using namespace dchag::tests;

TEST_CASE("flat attention gives the tokens and gradients of one rank, in every order of evaluation") {
  check_drawn<Tree<CrossAttention<1>>, Auto>(1, 1, 4);
  check_drawn<Tree<CrossAttention<1>>, Materialized>(2, 1, 3);
  check_drawn<Tree<CrossAttention<1>>, TokenSpace>(3, 1, 3);
  check_drawn<Tree<CrossAttention<1>>, PatchSpace>(4, 1, 3);
  check_drawn<Tree<CrossAttention<1>>, Auto, Merge, true>(5, 1, 2);
}

TEST_CASE("trees of any depth give the tokens and gradients of one rank, folded and as published") {
  check_drawn<Tree<Linear<1>>>(10, 1, 3);
  check_drawn<Tree<Linear<1>>, Materialized>(11, 1, 2);
  check_drawn<Tree<Linear<5>, CrossAttention<1>>>(12, 5, 3);
  check_drawn<Tree<Linear<5>, CrossAttention<1>>, Materialized, Merge>(13, 5, 2);
  check_drawn<Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>>(14, 3, 3);
  check_drawn<Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>, TokenSpace, Merge, true>(15, 3, 2);
  check_drawn<Tree<Linear<8>, Linear<3>, CrossAttention<2>, Linear<1>>>(16, 8, 3);
  check_drawn<Tree<Linear<8>, Linear<3>, CrossAttention<2>, Linear<1>>, Materialized, Merge>(17, 8, 2);
}

TEST_CASE("a unit that cannot merge gets its tokens gathered, at any level") {
  check_drawn<Tree<Squares<1>>>(20, 1, 2);
  check_drawn<Tree<Squares<4>, CrossAttention<1>>>(21, 4, 2);
  check_drawn<Tree<CrossAttention<6>, Squares<2>, Linear<1>>>(22, 6, 2);
}

namespace {
/// Images that have half of their channels, and one that has the last channel alone: of that one all ranks but one have
/// nothing.
template <class TreePolicy, class Evaluation, class Joining, bool recompute = false>
void check_missing(std::uint64_t seed, Index least, int trials) {
  for (int trial = 0; trial < trials; ++trial) {
    Drawn drawn(seed, least, trial);
    drawn.sizes.images += 2;
    Index const channels = drawn.sizes.channels;
    std::vector<unsigned char> present;
    for (Index b = 0; b < drawn.sizes.images; ++b)
      for (Index c = 0; c < channels; ++c)
        present.push_back(c + 1 == channels ||
                          (b != 1 && random_uniform(seed, static_cast<std::uint64_t>(b * channels + c)) < 0.5));
    check<TreePolicy, Evaluation, Joining, recompute>(drawn.sizes, seed + static_cast<std::uint64_t>(trial),
                                                      drawn.owners, present);
  }
}
}  // namespace

TEST_CASE("images that lack channels give the tokens and gradients of one rank, also where a rank has none of theirs") {
  check_missing<Tree<CrossAttention<1>>, Auto, Merge>(30, 1, 2);
  check_missing<Tree<CrossAttention<1>>, Materialized, Auto>(31, 1, 2);
  check_missing<Tree<CrossAttention<1>>, TokenSpace, Auto>(32, 1, 2);
  check_missing<Tree<Linear<1>>, Auto, Auto>(33, 1, 2);
  check_missing<Tree<Linear<5>, CrossAttention<1>>, Materialized, Merge>(34, 5, 2);
  check_missing<Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>, TokenSpace, Merge, true>(35, 3, 2);
  check_missing<Tree<Linear<8>, Linear<3>, CrossAttention<2>, Linear<1>>, Auto, Auto>(36, 8, 3);
  Communicator const world(MPI_COMM_WORLD);
  std::vector<unsigned char> half(21, 0);
  for (std::size_t at = 0; at < half.size(); at += 2) half[at] = 1;
  check<Tree<CrossAttention<1>>, Materialized, Auto>({7, 6, 8, 2, 16, 8, 3, 7}, 39, std::vector<int>(7, every_rank),
                                                     half);
  if (12 % world.size() != 0) return;
  Sizes const sizes{24, 6, 8, 2, 12, 3, 3, 7};
  std::vector<unsigned char> present(72, 1);
  std::fill(present.begin(), present.begin() + 22, static_cast<unsigned char>(0));  // the first image: the last group
  present[25] = present[28] = present[29] = 0;
  check<Tree<Linear<12>, CrossAttention<1>>, Auto, Gather>(
      sizes, 37, channels::owners_of<Contiguous>(24, {}, world.size()), present);
  check<Tree<CrossAttention<12>, Linear<1>>, Auto, Gather>(
      sizes, 38, channels::owners_of<Contiguous>(24, {}, world.size()), present);
}

TEST_CASE("Gather gives the same where the first level does not span ranks") {
  Communicator const world(MPI_COMM_WORLD);
  Index const ranks = world.size();
  for (Index each : {1, 2, 5}) {
    if (8 % ranks != 0) continue;
    Sizes const sizes{8 * each, 6, 8, 2, 12, 3, 3, 7};
    auto const owners = channels::owners_of<Contiguous>(sizes.channels, {}, world.size());
    check<Tree<Linear<8>, CrossAttention<1>>, Auto, Gather>(sizes, 30, owners);
    check<Tree<CrossAttention<8>, CrossAttention<4>, Linear<1>>, Auto, Gather>(sizes, 31, owners);
    check<Tree<CrossAttention<8>, Linear<1>>, Materialized, Gather, true>(sizes, 32, owners);
  }
  if (ranks == 1) return;
  Parameters<double, Device> parameters;
  std::vector<int> const owners = channels::owners_of<Strided>(9, {}, world.size());
  using Flat = FrontEnd<double, Device, Tree<CrossAttention<1>>, Auto, false, Gather>;
  CHECK_THROWS_WITH_AS(Flat(parameters, {9, 4, 4, 2}, 8, 2, world, owners),
                       doctest::Contains("which Gather cannot do: begin the Tree with a level whose number of groups "
                                         "is a multiple of the"),
                       Error);
}

TEST_CASE(
    "all channels everywhere, and the heads of flat attention divided, give the tokens and gradients of one rank") {
  Communicator const world(MPI_COMM_WORLD);
  for (Index heads : {1, 2, 3, 8, 12}) {  // also fewer than ranks, and what does not divide evenly
    Sizes const sizes{7 + heads, 6, 8, 2, 24, heads, 11, 9};
    auto const owners = channels::owners_of<Everywhere>(sizes.channels, {}, world.size());
    check<Tree<CrossAttention<1>>, Materialized>(sizes, 40, owners);
    check<Tree<CrossAttention<1>>, Materialized, Auto, true>(sizes, 41, owners);
    check<Tree<CrossAttention<1>>, Auto>(sizes, 42, owners);
    check<Tree<Linear<4>, CrossAttention<1>>, Materialized>(sizes, 43, owners);
  }
}

TEST_CASE(
    "with all channels everywhere a rank holds all tokenizers and its own heads, and sends tokens and their "
    "gradients") {
  Communicator const world(MPI_COMM_WORLD);
  int const ranks = world.size(), rank = world.rank();
  Index const channels = 6, embed = 24, heads = 8, rows = 256, width = embed / heads;
  using Flat = FrontEnd<float, Device, Tree<CrossAttention<1>>, Materialized, false>;
  Parameters<float, Device> parameters;
  Flat model(parameters, {channels, 32, 32, 2}, embed, heads, world,
             channels::owners_of<Everywhere>(channels, {}, ranks));
  parameters.allocate(1);
  Index const own = Shares::even(heads, ranks).count(rank) * width;
  CHECK(static_cast<Index>(model.own_channels().size()) == channels);
  CHECK(model.group().size() == 1);
  CHECK(parameters.count() ==
        channels * embed * 6 + embed + 3 * own * (embed + 1) + embed * own + embed);  // tokenizer, query, in, out
  Kokkos::View<float*, Device> const images("images", static_cast<std::size_t>(channels * 32 * 32));
  Workspace<Device> workspace(std::size_t{64} << 20);
  Context<Device> const context(workspace);
  world.reset_traffic();
  model.forward(context, images.data(), nullptr, rows, 1);
  Index const sent = ranks > 1 ? rows * embed * static_cast<Index>(sizeof(float)) : 0;
  CHECK(world.traffic().all_reduce.bytes == sent);
  context.fill(reshape<float*, Device>(model.out(), model.tiling().tiles * embed * model.tiling().pitch), 0.0f);
  model.backward(context, model.out());
  CHECK(world.traffic().all_reduce.bytes == (1 + channels) * sent);
  CHECK(world.traffic().bytes() == world.traffic().all_reduce.bytes);
}

TEST_CASE("a rank holds the tokenizer of its own channels, and of units that are another's nothing") {
  Communicator const world(MPI_COMM_WORLD);
  int const ranks = world.size(), rank = world.rank();
  Parameters<double, Device> parameters;
  std::vector<int> const owners = channels::owners_of<Contiguous>(40, {}, ranks);
  FrontEnd<double, Device, Tree<CrossAttention<40>, CrossAttention<1>>, Auto, false> const model(
      parameters, {40, 8, 8, 4}, 6, 2, world, owners);
  Index const own = static_cast<Index>(std::count(owners.begin(), owners.end(), rank));
  Index const unit = 6 + 3 * 6 * 7 + 6 * 7;  // query, projections in and out
  CHECK(static_cast<Index>(model.own_channels().size()) == own);
  CHECK(parameters.find("tokenizer.weight")->size() == own * 6 * 16);
  CHECK(parameters.count() == own * (6 * 16 + 2 * 6) + own * unit + unit);
}

namespace {
/// Of the forward and of the backward pass of a front end on all ranks, in float.
template <class TreePolicy, class Joining>
std::pair<Traffic, Traffic> traffic_of(Sizes const& sizes, channels::Delivery delivery = channels::Delivery::whole) {
  Communicator const world(MPI_COMM_WORLD);
  Parameters<float, Device> parameters;
  auto const owners = channels::owners_of<Contiguous>(sizes.channels, {}, world.size());
  FrontEnd<float, Device, TreePolicy, Auto, false, Joining> model(
      parameters, {sizes.channels, sizes.height, sizes.width, sizes.patch}, sizes.embed, sizes.heads, world, owners,
      delivery);
  parameters.allocate(1);
  Index const own = static_cast<Index>(model.own_channels().size());
  Kokkos::View<float*, Device> const images("images",
                                            static_cast<std::size_t>(sizes.images * own * sizes.height * sizes.width));
  Workspace<Device> workspace(std::size_t{64} << 20);
  Context<Device> const context(workspace);
  world.reset_traffic();
  SharedLocations const where{world, sizes.images, Shares::even(model.grid().locations(), world.size())};
  model.forward(context, images.data(), nullptr, model.grid().locations(), sizes.images, {}, where);
  Traffic const forward = world.traffic();
  CHECK(world.traffic("dchag::front_end::forward") == forward);
  Tiling const tiling = model.tiling();
  Kokkos::View<float*, Device> const zeros("zeros", static_cast<std::size_t>(tiling.rows * sizes.embed));
  channels::tiles_from_rows(context, tiling, sizes.embed, static_cast<float const*>(zeros.data()), model.out());
  world.reset_traffic();
  model.backward(context, model.out());
  return {forward, world.traffic()};
}
}  // namespace

TEST_CASE("what a step sends is what the join says, and the backward pass of the last unit sends nothing") {
  Communicator const world(MPI_COMM_WORLD);
  int const ranks = world.size();
  if (ranks == 1) return;
  Sizes const sizes{8 * ranks, 16, 32, 2, 12, 3, 2, 128};  // 256 rows: two tiles of 128 without padding
  Index const rows = 256, number = sizeof(float), tiles = ceil_div(rows, on_host<Device> ? 128 : 4096);
  auto const [merged, nothing] = traffic_of<Tree<CrossAttention<1>>, Merge>(sizes);
  CHECK(merged.all_reduce.calls == 2 * tiles);
  CHECK(merged.all_reduce.bytes == rows * (2 * sizes.heads + sizes.embed) * number);
  CHECK(merged.calls() == 2 * tiles);
  CHECK(nothing.calls() == 0);
  if (8 % ranks == 0) {
    auto const [gathered, none] = traffic_of<Tree<Linear<8>, CrossAttention<1>>, Gather>(sizes);
    CHECK(gathered.all_gather.calls == tiles);
    CHECK(gathered.all_gather.bytes == 8 / ranks * rows * sizes.embed * number);  // B L D numbers a token gathered
    CHECK(gathered.calls() == tiles);
    CHECK(none.calls() == 0);
  }
  auto const [summed, back] = traffic_of<Tree<Linear<1>>, Merge>(sizes);
  CHECK(summed.bytes() == rows * sizes.embed * number);
  CHECK(back.calls() == 0);
}

TEST_CASE("where ranks get their own rows the last unit is reduced to them, and its gradient gathered from them") {
  Communicator const world(MPI_COMM_WORLD);
  int const ranks = world.size();
  if (ranks == 1) return;
  auto const own_rows = channels::Delivery::own_rows;
  Sizes const sizes{8 * ranks, 16, 32, 2, 12, 3, 2, 128};
  Tiling const tiling = Tiling::of<float, Device>(2 * Shares::even(128, ranks).largest(), ranks);
  Index const number = sizeof(float), block = tiling.tiles * tiling.block(), all = block * ranks;
  auto const [merged, spread] = traffic_of<Tree<CrossAttention<1>>, Merge>(sizes, own_rows);
  CHECK(merged.all_reduce.bytes == all * sizes.heads * number);                      // maxima
  CHECK(merged.reduce_scatter.bytes == all * (sizes.heads + sizes.embed) * number);  // normalizers and values
  CHECK(merged.all_gather.bytes == block * sizes.heads * number);                    // normalizers
  CHECK(merged.calls() == 3 * tiling.tiles);
  CHECK(spread.all_gather.bytes == block * (sizes.heads + sizes.embed) * number);
  CHECK(spread.bytes() == spread.all_gather.bytes);
  if (8 % ranks == 0) {
    auto const [gathered, given_back] = traffic_of<Tree<Linear<8>, CrossAttention<1>>, Gather>(sizes, own_rows);
    CHECK(gathered.all_to_all.bytes == 8 / ranks * all * sizes.embed * number);
    CHECK(gathered.calls() == tiling.tiles);
    CHECK(given_back == gathered);
  }
  auto const [summed, back] = traffic_of<Tree<Linear<1>>, Merge>(sizes, own_rows);
  CHECK(summed.reduce_scatter.bytes == all * sizes.embed * number);
  CHECK(summed.bytes() == summed.reduce_scatter.bytes);
  CHECK(back.all_gather.bytes == block * sizes.embed * number);
  CHECK(back.bytes() == back.all_gather.bytes);
}

TEST_CASE("a rank of R needs the memory of one rank with an R-th of the channels, and room to merge") {
  Communicator const world(MPI_COMM_WORLD);
  int const ranks = world.size();
  Index const each = 24, embed = 32, heads = 4;
  Kokkos::View<float*, Device> const images("images", 1);  // not read in a dry run
  auto const peak = [&](Index channels, Communicator const& group) {
    using Flat = FrontEnd<float, Device, Tree<CrossAttention<1>>, PatchSpace, false, Merge>;
    Parameters<float, Device> parameters;
    Flat model(parameters, {channels, 32, 32, 2}, embed, heads, group,
               channels::owners_of<Contiguous>(channels, {}, group.size()));
    Workspace<Device> measuring;
    Context<Device> const dry(measuring);
    model.forward(dry, images.data(), nullptr, 256, 2);
    model.backward(dry, model.out());
    return std::pair<Index, Index>{static_cast<Index>(measuring.peak()), parameters.count()};
  };
  auto const [alone, parameters] = peak(each, {});
  auto const [shared, own_parameters] = peak(each * ranks, world);
  Index const pitch = Tiling::of<float, Device>(512).pitch;
  Index const room =
      ((2 * heads + 2 * embed) * pitch + (2 * heads + embed) * pitch) * static_cast<Index>(sizeof(float));
  CHECK(own_parameters == parameters);
  CHECK(shared >= alone);
  CHECK(shared <= alone + room + 4096);
}
