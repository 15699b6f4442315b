#include <doctest/doctest.h>

#include <cmath>
#include <dchag/channels/channel_dropout.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "space.hpp"

using namespace dchag;

namespace {

using Flags = std::vector<unsigned char>;
using OnDevice = Kokkos::View<unsigned char**, Kokkos::LayoutRight, tests::Space>;

OnDevice on_device(Flags const& flags, Index images, Index channels) {
  OnDevice const view("flags", static_cast<std::size_t>(images), static_cast<std::size_t>(channels));
  Kokkos::deep_copy(view, Kokkos::View<unsigned char const**, Kokkos::LayoutRight, Kokkos::HostSpace>(
                              flags.data(), view.extent(0), view.extent(1)));
  return view;
}

Flags drawn(ChannelDropout const& dropout, Index step, Index first, Index images, Index channels,
            OnDevice const& available = {}) {
  OnDevice const view("present", static_cast<std::size_t>(images), static_cast<std::size_t>(channels));
  dropout.draw(tests::Space(), step, first, view, available);
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
  return {host.data(), host.data() + host.size()};
}
int count(Flags const& flags, Index image, Index channels) {
  auto const first = flags.begin() + image * channels;
  return std::accumulate(first, first + channels, 0);
}

}  // namespace

TEST_CASE("how many channels stay is uniform from one to all, and every channel stays as often") {
  Index const images = 60000, channels = 5;
  Flags const flags = drawn({.seed = 1}, 0, 0, images, channels);
  std::vector<double> counts(6, 0.0), stays(5, 0.0), pairs(25, 0.0);
  for (Index b = 0; b < images; ++b) {
    int const left = count(flags, b, channels);
    counts[static_cast<std::size_t>(left)] += 1.0 / static_cast<double>(images);
    for (std::size_t c = 0; c < 5; ++c) {
      bool const here = flags[static_cast<std::size_t>(b) * 5 + c] != 0;
      stays[c] += here ? 1.0 / static_cast<double>(images) : 0;
      for (std::size_t d = 0; d < c && left == 2; ++d)
        if (here && flags[static_cast<std::size_t>(b) * 5 + d] != 0) pairs[c * 5 + d] += 1;
    }
  }
  CHECK(counts[0] == 0);
  for (std::size_t left = 1; left <= 5; ++left) CHECK(std::fabs(counts[left] - 0.2) < 0.008);  // 5 deviations
  for (double often : stays) CHECK(std::fabs(often - 0.6) < 0.01);
  for (std::size_t c = 0; c < 5; ++c)
    for (std::size_t d = 0; d < c; ++d) CHECK(std::fabs(pairs[c * 5 + d] - 1200) < 5 * std::sqrt(1200.0));
}

TEST_CASE("an image's draw depends on seed, step and its number alone, not on the batch that it is in") {
  Index const channels = 9;
  ChannelDropout const dropout{.seed = 3};
  Flags const all = drawn(dropout, 4, 0, 12, channels), part = drawn(dropout, 4, 5, 7, channels);
  CHECK(Flags(all.begin() + 5 * channels, all.end()) == part);
  CHECK(drawn(dropout, 5, 0, 12, channels) != all);
  CHECK(drawn({.seed = 4}, 4, 0, 12, channels) != all);
}

TEST_CASE("only channels that are there are drawn from, and one of them stays") {
  Index const images = 500, channels = 4;
  Flags some;
  for (Index b = 0; b < images; ++b)
    for (Index c = 0; c < channels; ++c) some.push_back(c == b % channels || c == 2);
  Flags const flags = drawn({.seed = 1}, 0, 0, images, channels, on_device(some, images, channels));
  int dropped = 0;
  for (Index b = 0; b < images; ++b) {
    CHECK(count(flags, b, channels) >= 1);
    for (Index c = 0; c < channels; ++c) {
      auto const at = static_cast<std::size_t>(b * channels + c);
      CHECK(flags[at] <= some[at]);
      dropped += some[at] - flags[at];
    }
  }
  CHECK(dropped > 50);
  OnDevice const narrow("narrow", 1, 3), wide("wide", 1, 4);
  CHECK_THROWS_WITH_AS(ChannelDropout().draw(tests::Space(), 0, 0, narrow, wide),
                       "channel dropout: available is [1, 4], present [1, 3]: give the same extents", Error);
}

TEST_CASE("where it is asked, all images of a step lose the same channels, on every rank") {
  ChannelDropout const dropout{.seed = 1, .same_for_batch = true};
  Flags const one = drawn(dropout, 7, 0, 1, 9), other = drawn(dropout, 7, 40, 2, 9);
  CHECK(Flags(other.begin(), other.begin() + 9) == one);
  CHECK(Flags(other.begin() + 9, other.end()) == one);
  CHECK(drawn(dropout, 8, 0, 1, 9) != one);
}
