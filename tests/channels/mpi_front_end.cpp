#include <doctest/doctest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <dchag/channels/front_end.hpp>
#include <string>
#include <vector>

#include "portability/squared_sum.hpp"
#include "space.hpp"

using namespace dchag;
using Device = tests::Space;

namespace {

struct Nothing {
  KOKKOS_FUNCTION double operator()(Index, Index) const { return 0; }
};

using Numbers = std::vector<double>;

/// A level of a user's own, whose units know nothing of ranks.
template <Index count>
struct Squares {
  static constexpr char const* name = "squares";
  static constexpr Index groups = count;
  template <class T, class Execution>
  using Unit = portability::SquaredSum<T, Execution>;
};

Numbers numbers(Index count, std::uint64_t seed, std::string const& name) {
  Numbers all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = 0.5 * random_normal(random_key(seed, name), i);
  return all;
}
Kokkos::View<double*, Device> on_device(Numbers const& host) {
  Kokkos::View<double*, Device> const view("numbers", host.size());
  Kokkos::deep_copy(view, Kokkos::View<double const*, Kokkos::HostSpace>(host.data(), host.size()));
  return view;
}
Numbers to_host(double const* data, Index size) {
  Numbers host(static_cast<std::size_t>(size));
  Kokkos::deep_copy(Kokkos::View<double*, Kokkos::HostSpace>(host.data(), host.size()),
                    reshape<double const*, Device>(data, size));
  return host;
}

Numbers sum_over_ranks(Numbers all) {
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return all;
}

/// f(element of the whole tensor, element of what is held).
template <class F>
void each_held(Parameter<double, Device> const& parameter, F const& f) {
  parameter.placement.runs(0, parameter.size(), [&](Index whole, Index held, Index length) {
    for (Index i = 0; i < length; ++i) f(static_cast<std::size_t>(whole + i), static_cast<std::size_t>(held + i));
  });
}

struct Sizes {
  Index channels, height, width, patch, embed, heads, images, kept;
};

/// Which tokens a rank gets: all, those of its share of the locations of each image, or its share of all rows.
enum class Rows { all, of_locations, of_rows };

/// A front end on the ranks of a group, its images, and the loss: the sum of the tokens times fixed numbers.
template <class TreePolicy, class Evaluation, class Joining, bool recompute>
struct Case {
  using Flags = std::vector<unsigned char>;

  /// `flags` [images, channels] says what the images lack, whose memory is NaN; empty: nothing.
  Case(Sizes const& sizes, std::uint64_t seed, Communicator const& group, std::vector<int> const& owners,
       Flags const& flags = {}, Rows rows = Rows::all)
      : sizes(sizes),
        group(group),
        model(parameters, {sizes.channels, sizes.height, sizes.width, sizes.patch}, sizes.embed, sizes.heads, group,
              owners, rows == Rows::all ? channels::Delivery::whole : channels::Delivery::own_rows) {
    Index const all = sizes.images * sizes.kept, ranks = group.size();
    if (rows == Rows::of_locations) where = {group, sizes.images, Shares::even(sizes.kept, ranks)};
    if (rows == Rows::of_rows) where = {group, 1, Shares::padded(all, ranks)};
    if (rows == Rows::all) where = {{}, 1, Shares::even(all, 1)};
    parameters.allocate(seed);
    for (auto const& parameter : parameters.all()) {  // no bias zero, no weight uniform
      Numbers const whole = numbers(parameter.whole_size(), seed, parameter.name);
      Numbers held(static_cast<std::size_t>(parameter.size()));
      each_held(parameter, [&](std::size_t from, std::size_t to) { held[to] = whole[from]; });
      Kokkos::deep_copy(parameter.template value<double*>(parameter.size()), on_device(held));
    }
    Index const plane = sizes.height * sizes.width;
    Numbers const images = numbers(sizes.images * sizes.channels * plane, seed, "images");
    Numbers own;
    for (Index b = 0; b < sizes.images; ++b)
      for (Index c : model.own_channels()) {
        auto const from = images.begin() + (b * sizes.channels + c) * plane;
        own.insert(own.end(), from, from + plane);
        if (!flags.empty() && flags[static_cast<std::size_t>(b * sizes.channels + c)] == 0)
          std::fill(own.end() - plane, own.end(), std::nan(""));
      }
    input = on_device(own);
    std::vector<Index> visible;
    for (Index b = 0; b < sizes.images; ++b)
      for (Index k = 0; k < sizes.kept; ++k) visible.push_back((k * 7 + b) % model.grid().locations());
    keep = Kokkos::View<Index*, Device>("keep", visible.size());
    Kokkos::deep_copy(keep, Kokkos::View<Index const*, Kokkos::HostSpace>(visible.data(), visible.size()));
    if (!flags.empty()) {
      present = Kokkos::View<unsigned char**, Kokkos::LayoutRight, Device>(
          "present", static_cast<std::size_t>(sizes.images), static_cast<std::size_t>(sizes.channels));
      Kokkos::deep_copy(present, Kokkos::View<unsigned char const**, Kokkos::LayoutRight, Kokkos::HostSpace>(
                                     flags.data(), present.extent(0), present.extent(1)));
    }
    Workspace<Device> measuring;
    run(Context<Device>(measuring), seed);
    workspace.allocate(measuring.peak());
    tokens = run(Context<Device>(workspace), seed);
    CHECK(workspace.peak() == measuring.peak());
  }

  /// The tokens [rows, D] of this rank, zero for those that it does not get. The gradient of element i of all tokens is
  /// the i-th fixed number.
  Numbers run(Context<Device> const& context, std::uint64_t seed) {
    auto scope = context.workspace().scope();
    model.forward(context, input.data(), keep.data(), sizes.kept, sizes.images, present, where);
    Index const own = where.own_rows(), embed = sizes.embed;
    Numbers const slopes = numbers(sizes.images * sizes.kept * embed, seed, "slopes");
    Numbers result(slopes.size(), 0.0), own_slopes;
    for (Index row = 0; row < own; ++row) {
      auto const from = slopes.begin() + where.rows().row(row) * embed;
      own_slopes.insert(own_slopes.end(), from, from + embed);
    }
    Kokkos::View<double*, Device> const rows("rows", static_cast<std::size_t>(own * embed));
    channels::rows_from_tiles(context, model.tiling(), embed, static_cast<double const*>(model.out()), Nothing(),
                              rows.data());
    Kokkos::fence();
    Numbers const tokens = to_host(rows.data(), own * embed);
    for (Index row = 0; row < own; ++row)
      std::copy_n(tokens.begin() + row * embed, embed, result.begin() + where.rows().row(row) * embed);
    auto const gradient = on_device(own_slopes);
    channels::tiles_from_rows(context, model.tiling(), embed, static_cast<double const*>(gradient.data()), model.out());
    model.backward(context, model.out());
    Kokkos::fence();
    return result;
  }

  /// The gradient of a whole parameter, on every rank.
  Numbers gradient(Parameter<double, Device> const& parameter) const {
    Numbers const held = to_host(parameter.gradients, parameter.size());
    Numbers whole(static_cast<std::size_t>(parameter.whole_size()), 0.0);
    each_held(parameter, [&](std::size_t to, std::size_t from) { whole[to] = held[from]; });
    return parameter.placement.sharing != Sharing::copied && group.size() > 1 ? sum_over_ranks(whole) : whole;
  }

  Sizes sizes;
  Communicator group;
  SharedLocations where;
  Parameters<double, Device> parameters;
  FrontEnd<double, Device, TreePolicy, Evaluation, recompute, Joining, Renormalize> model;
  Kokkos::View<unsigned char**, Kokkos::LayoutRight, Device> present;
  Kokkos::View<double*, Device> input;
  Kokkos::View<Index*, Device> keep;
  Workspace<Device> workspace;
  Numbers tokens;
};

double distance(Numbers const& a, Numbers const& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::fabs(a[i] - b[i]));
  return largest;
}
double magnitude(Numbers const& a) { return distance(a, Numbers(a.size(), 0.0)); }

template <class OneCase>
void check_rows(OneCase const& one, std::uint64_t seed, std::vector<int> const& owners,
                std::vector<unsigned char> const& present, Rows rows) {
  Communicator const world(MPI_COMM_WORLD);
  CAPTURE(static_cast<int>(rows));
  OneCase const many(one.sizes, seed, world, owners, present, rows);
  Numbers const tokens = rows == Rows::all ? many.tokens : sum_over_ranks(many.tokens);
  CHECK(distance(tokens, one.tokens) <= 1e-10 * magnitude(one.tokens));
  Numbers largest;
  for (auto const& parameter : one.parameters.all()) largest.push_back(magnitude(one.gradient(parameter)));
  double const scale = *std::max_element(largest.begin(), largest.end());
  REQUIRE(many.parameters.all().size() == largest.size());
  for (std::size_t i = 0; i < largest.size(); ++i) {
    auto const &expected = one.parameters.all()[i], &found = many.parameters.all()[i];
    CAPTURE(found.name);
    CHECK(found.name == expected.name);
    // What is zero but for rounding (a key's bias) is held to rounding.
    CHECK(distance(many.gradient(found), one.gradient(expected)) <= std::fmax(1e-10 * largest[i], 1e-13 * scale));
  }
}

template <class TreePolicy, class Evaluation = Auto, class Joining = Auto, bool recompute = false>
void check(Sizes const& sizes, std::uint64_t seed, std::vector<int> const& owners,
           std::vector<unsigned char> const& present = {}) {
  CAPTURE(sizes.channels);
  CAPTURE(seed);
  Case<TreePolicy, Evaluation, Joining, recompute> const one(sizes, seed, {}, {}, present);
  for (Rows rows : {Rows::all, Rows::of_locations, Rows::of_rows}) check_rows(one, seed, owners, present, rows);
}

/// Sizes and owners drawn from a seed: any number of channels from `least` to 41, rows of more than one tile.
struct Drawn {
  Sizes sizes;
  std::vector<int> owners;

  Drawn(std::uint64_t seed, Index least, Index trial) {
    std::uint64_t draws = 0;
    auto const below = [&](Index bound) {
      return static_cast<Index>(random_bits(random_key(seed, std::to_string(trial)), draws++) %
                                static_cast<std::uint64_t>(bound));
    };
    int const ranks = Communicator(MPI_COMM_WORLD).size();
    Index const heads = 1 + below(4), patch = 1 + below(3), across = 2 + below(5), down = 2 + below(5);
    Index const channels = least + below(42 - least), kept = 1 + below(across * down);
    sizes = {channels, down * patch, across * patch, patch, heads * (1 + below(4)), heads, 1 + below(12), kept};
    Numbers costs;
    for (Index c = 0; c < channels; ++c) costs.push_back(static_cast<double>(1 + below(9)));
    switch (below(4)) {
      case 0:
        owners = channels::owners_of<Contiguous>(channels, {}, ranks);
        break;
      case 1:
        owners = channels::owners_of<Strided>(channels, {}, ranks);
        break;
      case 2:
        owners = channels::owners_of<Balanced>(channels, costs, ranks);
        break;
      default:
        for (Index c = 0; c < channels; ++c) owners.push_back(static_cast<int>(below(ranks)));
    }
  }
};

template <class TreePolicy, class Evaluation = Auto, class Joining = Auto, bool recompute = false>
void check_drawn(std::uint64_t seed, Index least, int trials) {
  for (int trial = 0; trial < trials; ++trial) {
    Drawn const drawn(seed, least, trial);
    check<TreePolicy, Evaluation, Joining, recompute>(drawn.sizes, seed + static_cast<std::uint64_t>(trial),
                                                      drawn.owners);
  }
}

}  // namespace

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
