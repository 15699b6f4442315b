#pragma once

#include <dchag/channels/device_list.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/channels/tree_shares.hpp>
#include <dchag/channels/units/unit.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <string>
#include <utility>
#include <vector>

namespace dchag::channels {

/// The images that the columns of a tile belong to; -1 for padding, which lacks nothing.
struct TileImages {
  Index const* image;
  KOKKOS_INLINE_FUNCTION Index operator()(Index n) const { return image[n]; }
};

namespace detail {

template <class Space>
void copy_presence(Context<Space> const& context, Index count, unsigned char const* from, int* to) {
  context.loop(
      "dchag::channels::copy_presence", count, KOKKOS_LAMBDA(Index at) { to[at] = from[at] != 0 ? 1 : 0; });
}

/// above[b, g] = how many of the tokens of group g image b has.
template <class Space>
void count_present(Context<Space> const& context, Index images, Groups const& groups, int const* below, int* above) {
  context.loop(
      "dchag::channels::count_present", images * groups.groups, KOKKOS_LAMBDA(Index item) {
        Index const g = item % groups.groups, first = groups.begin(g);
        int const* const tokens = below + item / groups.groups * groups.tokens + first;
        int count = 0;
        for (Index t = 0; t < groups.size(g); ++t) count += tokens[t] != 0 ? 1 : 0;
        above[item] = count;
      });
}

/// How many units (of all images) have some of their tokens, but not all. Waits for the device.
template <class Space>
Index count_partial(Context<Space> const& context, Index images, Groups const& groups, int const* counts) {
  return context.template sum<Index>(
      "dchag::channels::count_partial", images * groups.groups, KOKKOS_LAMBDA(Index item, Index & sum) {
        if (counts[item] > 0 && counts[item] < groups.size(item % groups.groups)) ++sum;
      });
}

/// How many images have no token. Waits for the device.
template <class Space>
Index count_empty(Context<Space> const& context, Index images, int const* counts) {
  return context.template sum<Index>(
      "dchag::channels::count_empty", images, KOKKOS_LAMBDA(Index b, Index & sum) {
        if (counts[b] == 0) ++sum;
      });
}

/// What PresentTokens says of `size` tokens of unit g: token `first` + j, or held[j] where given. below and above are
/// what the images have of tokens [B, tokens] and of each unit's tokens [B, groups].
template <class T, class Space>
void spread_presence(Context<Space> const& context, Tiling const& tiling, TileImages const& images,
                     Groups const& groups, Index g, Index size, Index first, Index const* held, int const* below,
                     int const* above, T* factor) {
  Index const width = tiling.width, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::spread_presence", size * width, KOKKOS_LAMBDA(Index item) {
        Index const j = item / width, n = item % width, image = images(n);
        bool const absent = image >= 0 && below[image * groups.tokens + (held == nullptr ? first + j : held[j])] == 0;
        T value = absent ? T{0} : T{1};
        if (image >= 0 && !absent)
          value = static_cast<T>(groups.size(g)) / static_cast<T>(above[image * groups.groups + g]);
        factor[j * pitch + n] = value;
      });
}

}  // namespace detail

/// Which tokens of every level of a tree the images of a batch have: a unit's token is there where any of its tokens
/// is. Every rank is told of the channels of all ranks, and works out the rest by itself.
template <class T, class Space>
class Presence {
 public:
  Presence() = default;
  /// Of each level the groups, and (from that level on where it is asked) the tokens that this rank holds.
  Presence(std::vector<Groups> groups, std::vector<std::vector<Index>> const& held)
      : groups_(std::move(groups)), heights_(groups_.size() + 1) {
    for (auto const& tokens : held) held_.push_back(device_list<Space>("dchag::channels::held", tokens));
  }

  /// For messages; none where channels have no names.
  void name_channels(std::vector<std::string> names) { names_ = std::move(names); }

  /// present [B, channels of all ranks], zero where an image lacks a channel; of no extent where no image lacks any.
  /// What is worked out is pushed on the workspace, for the time until the backward pass is done.
  /// `column_images` are those of all tiles, see PatchPlaces.
  void begin(Context<Space> const& context, View<unsigned char const**, Space> const& present,
             Index const* column_images) {
    images_ = static_cast<Index>(present.extent(0));
    column_images_ = column_images;
    if (!given()) return;
    for (std::size_t level = 0; level <= groups_.size(); ++level) {
      Index const tokens = level == 0 ? groups_[0].tokens : groups_[level - 1].groups;
      heights_[level] = context.workspace().template push<int*>(images_ * tokens).data();
      if (level == 0)
        detail::copy_presence(context, images_ * tokens, present.data(), heights_[0]);
      else
        detail::count_present(context, images_, groups_[level - 1], heights_[level - 1], heights_[level]);
    }
    check_images(context);
  }

  /// Whether any image may lack a channel.
  bool given() const { return images_ > 0; }

  /// Throws where a unit of that level has some of its tokens, but not all.
  void refuse_partial(Context<Space> const& context, std::size_t level, std::string const& kind,
                      std::string const& remedy) const {
    if (!given() || detail::count_partial(context, images_, groups_[level], heights_[level + 1]) == 0) return;
    auto const below = host(level), above = host(level + 1);
    Groups const groups = groups_[level];
    for (Index item = 0; item < images_ * groups.groups; ++item) {
      Index const image = item / groups.groups, g = item % groups.groups;
      int const count = above[static_cast<std::size_t>(item)];
      if (count == 0 || count == groups.size(g)) continue;
      Index token = groups.begin(g);
      while (below[static_cast<std::size_t>(image * groups.tokens + token)] != 0) ++token;
      for (std::size_t lower = level; lower-- > 0;) token = groups_[lower].begin(token);
      fail("batch: image ", image, " lacks channel ", token, name_of(token), ", and with it one of the ",
           groups.size(g), " tokens of aggregator.", level, ".", g, " (", kind, "): ", remedy);
    }
  }

  AbsentChannels absent() const {
    if (!given()) return {};
    return {heights_[0], held_[0].data(), groups_[0].tokens};
  }
  int const* tokens(std::size_t level) const { return heights_[level]; }  // [B, tokens], nonzero where present
  Index const* own() const { return held_[0].data(); }                    // this rank's channels, on the device
  TileImages images_of(Tiling const& tiling, Index tile) const { return {column_images_ + tile * tiling.width}; }

  /// For a unit of that level, of the tokens that this rank holds or of all, in the rows of a tile; pushed on the
  /// workspace.
  PresentTokens<T> of_unit(Context<Space> const& context, Tiling const& tiling, Index tile, std::size_t level,
                           UnitPlace const& place, bool all) const {
    if (!given()) return {};
    Index const size = all ? static_cast<Index>(place.holders.size()) : place.count;
    T* const factor = context.workspace().template push<T**>(size, tiling.pitch).data();
    Index const* const held = all ? nullptr : held_[level].data() + place.first;
    detail::spread_presence(context, tiling, images_of(tiling, tile), groups_[level], groups_[level].of(place.begin),
                            size, place.begin, held, static_cast<int const*>(heights_[level]),
                            static_cast<int const*>(heights_[level + 1]), factor);
    return {factor};
  }

 private:
  void check_images(Context<Space> const& context) const {
    Index const empty = detail::count_empty(context, images_, static_cast<int const*>(heights_.back()));
    require(empty == 0, "batch: ", empty, " of ", images_, " images have none of the ", groups_[0].tokens,
            " channels present: leave them out, or say of each which channels it has");
  }
  std::vector<int> host(std::size_t level) const {
    Index const tokens = level == 0 ? groups_[0].tokens : groups_[level - 1].groups;
    std::vector<int> all(static_cast<std::size_t>(images_ * tokens));
    copy(Space(), reshape<int*, Kokkos::HostSpace>(all.data(), all.size()),
         reshape<int const*, Space>(heights_[level], images_ * tokens));
    Space().fence("dchag::channels::presence");
    return all;
  }
  std::string name_of(Index channel) const {
    auto const c = static_cast<std::size_t>(channel);
    return c < names_.size() && !names_[c].empty() ? " (" + names_[c] + ")" : "";
  }

  std::vector<Groups> groups_;
  std::vector<DeviceList<Space>> held_;
  std::vector<std::string> names_;
  std::vector<int*> heights_;  // of each level [B, tokens]: channels, and how many tokens a unit has
  Index images_ = 0;
  Index const* column_images_ = nullptr;
};

}  // namespace dchag::channels
