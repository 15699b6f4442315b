#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/math.hpp>
#include <dchag/parallel/communicator.hpp>

namespace dchag::channels {

namespace detail {

/// packed [rows, width] = tiled [rows, pitch], or the other way.
template <class T, class Space>
void pack_rows(Context<Space> const& context, Tiling const& tiling, Index rows, T* tiled, T* packed, bool back) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::pack_rows", rows * blocks, KOKKOS_LAMBDA(Index item) {
        T* const one = tiled + item / blocks * pitch + item % blocks * lanes;
        if (back)
          store(one, load<L>(packed + item * lanes));
        else
          store(packed + item * lanes, load<L>(one));
      });
}

/// What a rank adds to the sums over ranks: of head i its normalizer e^(own maximum - maximum of all) [h, width], then
/// of feature e its values times that [D, width]. `shift` [D] is taken from the values first where given.
template <class T, class Space>
void pack_attention(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* largest,
                    T const* max, T const* normalizer, T const* z, T const* shift, T* packed) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::pack_attention", heads * (width + 1) * blocks, KOKKOS_LAMBDA(Index item) {
        Index const row = item / blocks, n = item % blocks * lanes, e = row - heads;
        Index const i = row < heads ? row : e / width, at = i * pitch + n;
        L value = load<L>(normalizer + at) * lanes_exp<T>(load<L>(max + at) - load<L>(largest + i * tiling.width + n));
        if (row >= heads) value *= load<L>(z + e * pitch + n) - broadcast<L>(shift == nullptr ? T{0} : shift[e]);
        store(packed + row * tiling.width + n, value);
      });
}

/// From the sums over ranks: the maximum, the normalizer and the values of all tokens; and what share of the weight is
/// this rank's, [h, pitch].
template <class T, class Space>
void unpack_attention(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* largest,
                      T const* packed, T const* shift, T* max, T* normalizer, T* z, T* share) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch, columns = tiling.width;
  context.loop(
      "dchag::channels::unpack_attention", heads * blocks, KOKKOS_LAMBDA(Index item) {
        Index const i = item / blocks, n = item % blocks * lanes, at = i * pitch + n;
        L const all = load<L>(largest + i * columns + n), total = load<L>(packed + i * columns + n);
        store(share + at, load<L>(normalizer + at) * lanes_exp<T>(load<L>(max + at) - all) / total);
        store(max + at, all);
        store(normalizer + at, total);
        for (Index e = i * width; e < (i + 1) * width; ++e)
          store(z + e * pitch + n,
                load<L>(packed + (heads + e) * columns + n) / total + broadcast<L>(shift == nullptr ? T{0} : shift[e]));
      });
}

/// x[c, r, n] *= share[i(r), n], where rows r of head i stand together: [count, heads * width, pitch].
template <class T, class Space>
void scale_by_share(Context<Space> const& context, Tiling const& tiling, Index count, Index heads, Index width,
                    T const* share, T* x) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::scale_by_share", count * heads * width * blocks, KOKKOS_LAMBDA(Index item) {
        Index const n = item % blocks * lanes, row = item / blocks;
        T* const place = x + row * pitch + n;
        store(place, load<L>(place) * load<L>(share + row / width % heads * pitch + n));
      });
}

/// tokens[t] = gathered[place[t]], token by token of [D, width] into [D, pitch].
template <class T, class Space>
void place_tokens(Context<Space> const& context, Tiling const& tiling, Index tokens, Index embed, Index const* place,
                  T const* gathered, T* to) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch, columns = tiling.width;
  context.loop(
      "dchag::channels::place_tokens", tokens * embed * blocks, KOKKOS_LAMBDA(Index item) {
        Index const n = item % blocks * lanes, row = item / blocks, t = row / embed, e = row % embed;
        store(to + row * pitch + n, load<L>(gathered + (place[t] * embed + e) * columns + n));
      });
}

}  // namespace detail

/// How the ranks of a replica bring together what each knows of the rows of a tile (channel-math.md, section 4). Every
/// rank of the group calls every function, in the same order. Nothing happens in a group of one rank.
template <class T, class Space>
class Joint {
 public:
  explicit Joint(Communicator group = {}) : group_(std::move(group)) {}

  Communicator const& group() const { return group_; }
  bool alone() const { return group_.size() == 1; }

  /// From the maximum and the normalizer [h, pitch] of the scores of this rank's tokens and the heads' values z
  /// [h * width, pitch] of these to those of all ranks' tokens (Milakov and Gimelshein, arXiv 1805.02867). A rank
  /// without tokens gives a normalizer of zero. `shift` (null: none) is a constant in this rank's z alone. Answers the
  /// share [h, pitch] of the weight that was this rank's, pushed on the workspace; null in a group of one rank.
  T const* attention(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* shift,
                     T* max, T* normalizer, T* z) const {
    if (alone()) return nullptr;
    auto& workspace = context.workspace();
    T* const share = workspace.template push<T**>(heads, tiling.pitch).data();
    auto scope = workspace.scope();
    auto const largest = workspace.template push<T**>(heads, tiling.width);
    auto const sums = workspace.template push<T**>(heads * (width + 1), tiling.width);
    detail::pack_rows(context, tiling, heads, max, largest.data(), false);
    group_.all_reduce(context, largest, Reduction::max);
    detail::pack_attention<T>(context, tiling, heads, width, largest.data(), max, normalizer, z, shift, sums.data());
    group_.all_reduce(context, sums);
    detail::unpack_attention<T>(context, tiling, heads, width, largest.data(), sums.data(), shift, max, normalizer, z,
                                share);
    return share;
  }

  /// x [rows, pitch] becomes the sum of the ranks' x.
  void sum(Context<Space> const& context, Tiling const& tiling, Index rows, T* x) const {
    through_packed(context, tiling, rows, x, true, [&](auto const& packed) { group_.all_reduce(context, packed); });
  }

  /// x [rows, pitch] of that rank goes to every rank.
  void broadcast(Context<Space> const& context, Tiling const& tiling, Index rows, int root, T* x) const {
    through_packed(context, tiling, rows, x, group_.rank() == root,
                   [&](auto const& packed) { group_.broadcast(context, packed, root); });
  }

  /// The tokens of all ranks [tokens, D, pitch] from the `count` <= `most` of each; token t is the (place[t] % most)-th
  /// of rank place[t] / most.
  void gather(Context<Space> const& context, Tiling const& tiling, Index embed, Index count, Index most, T const* own,
              Index tokens, Index const* place, T* all) const {
    auto scope = context.workspace().scope();
    auto const part = context.workspace().template push<T**>(most * embed, tiling.width);
    auto const whole = context.workspace().template push<T**>(group_.size() * most * embed, tiling.width);
    detail::pack_rows(context, tiling, count * embed, const_cast<T*>(own), part.data(), false);
    group_.all_gather(context, part, whole);
    detail::place_tokens<T>(context, tiling, tokens, embed, place, whole.data(), all);
  }

 private:
  /// verb(packed [rows, width]) on x [rows, pitch], which it reads where `sends`, and writes.
  template <class Verb>
  void through_packed(Context<Space> const& context, Tiling const& tiling, Index rows, T* x, bool sends,
                      Verb const& verb) const {
    if (alone()) return;
    auto scope = context.workspace().scope();
    auto const packed = context.workspace().template push<T**>(rows, tiling.width);
    if (sends) detail::pack_rows(context, tiling, rows, x, packed.data(), false);
    verb(packed);
    detail::pack_rows(context, tiling, rows, x, packed.data(), true);
  }

  Communicator group_;
};

}  // namespace dchag::channels
