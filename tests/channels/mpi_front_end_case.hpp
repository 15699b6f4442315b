#pragma once

#include <doctest/doctest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <dchag/channels/front_end.hpp>
#include <string>
#include <vector>

#include "portability/squared_sum.hpp"
#include "space.hpp"

// Front ends on the ranks of a group beside the same one on one rank.
namespace dchag::tests {

using Device = Space;

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

inline Numbers numbers(Index count, std::uint64_t seed, std::string const& name) {
  Numbers all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = 0.5 * random_normal(random_key(seed, name), i);
  return all;
}
inline Kokkos::View<double*, Device> on_device(Numbers const& host) {
  Kokkos::View<double*, Device> const view("numbers", host.size());
  Kokkos::deep_copy(view, Kokkos::View<double const*, Kokkos::HostSpace>(host.data(), host.size()));
  return view;
}
inline Numbers to_host(double const* data, Index size) {
  Numbers host(static_cast<std::size_t>(size));
  Kokkos::deep_copy(Kokkos::View<double*, Kokkos::HostSpace>(host.data(), host.size()),
                    reshape<double const*, Device>(data, size));
  return host;
}

inline Numbers sum_over_ranks(Numbers all) {
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

inline double distance(Numbers const& a, Numbers const& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::fmax(largest, std::fabs(a[i] - b[i]));
  return largest;
}
inline double magnitude(Numbers const& a) { return distance(a, Numbers(a.size(), 0.0)); }

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

}  // namespace dchag::tests
