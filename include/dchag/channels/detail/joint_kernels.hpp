#pragma once

#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/math.hpp>

// Between tiles [rows, pitch] and the messages that ranks exchange about them.
namespace dchag::channels::detail {

/// Rows of a tile in a message, [blocks, rows, block]: where each block of columns is a rank's, so is each piece of the
/// message.
struct Packed {
  Index rows, block;

  KOKKOS_INLINE_FUNCTION Index at(Index row, Index column) const {
    return (column / block * rows + row) * block + column % block;
  }
};

/// The first `count` rows of a message = tiled [count, pitch], or the other way.
template <class T, class Space>
void pack_rows(Context<Space> const& context, Tiling const& tiling, Packed where, Index count, T* tiled, T* packed,
               bool back) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch, pieces = tiling.width / where.block;
  context.rows(
      "dchag::channels::pack_rows", count * pieces, where.block, lanes,
      KOKKOS_LAMBDA(Index of_piece, Index n) {
        Index const row = of_piece / pieces, column = of_piece % pieces * where.block;
        T *const one = tiled + row * pitch + column + n, *const other = packed + where.at(row, column) + n;
        if (back)
          store(one, load<L>(other));
        else
          store(other, load<L>(one));
      },
      moves<T>(2 * count * tiling.width));
}

/// What a rank adds to the sums over ranks, rows [h (width + 1)] of a message: of head i its normalizer
/// e^(own maximum - maximum of all), then of feature e its values times that. `largest` [h] is a message too; `shift`
/// [h width] is taken from the values first where given.
template <class T, class Space>
void pack_attention(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* largest,
                    T const* max, T const* normalizer, T const* z, T const* shift, T* packed) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  Packed const maxima{heads, tiling.block()}, sums{heads * (width + 1), tiling.block()};
  context.rows(
      "dchag::channels::pack_attention", sums.rows, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const e = row - heads;
        Index const i = row < heads ? row : e / width, at = i * pitch + n;
        L value = load<L>(normalizer + at) * lanes_exp<T>(load<L>(max + at) - load<L>(largest + maxima.at(i, n)));
        if (row >= heads) value *= load<L>(z + e * pitch + n) - broadcast<L>(shift == nullptr ? T{0} : shift[e]);
        store(packed + sums.at(row, n), value);
      },
      moves<T>(2 * sums.rows * tiling.width, 20 * sums.rows * tiling.width));
}

/// From messages of the maxima and of the sums over ranks (normalizers in the first h rows of `totals`): the maximum
/// and the normalizer of all tokens, and what share of the weight is this rank's, [h, pitch].
template <class T, class Space>
void unpack_weights(Context<Space> const& context, Tiling const& tiling, Index heads, T const* largest, Packed where,
                    T const* totals, T* max, T* normalizer, T* share) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  Packed const maxima{heads, tiling.block()};
  context.loop(
      "dchag::channels::unpack_weights", heads * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const i = item / blocks, n = item % blocks * lanes, at = i * pitch + n;
        L const all = load<L>(largest + maxima.at(i, n)), total = load<L>(totals + where.at(i, n));
        store(share + at, load<L>(normalizer + at) * lanes_exp<T>(load<L>(max + at) - all) / total);
        store(max + at, all);
        store(normalizer + at, total);
      },
      moves<T>(7 * heads * tiling.width));
}

/// z [h width, pitch] = the sums over the normalizers, and shift.
template <class T, class Space>
void unpack_values(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* packed,
                   T const* shift, T* z) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  Packed const sums{heads * (width + 1), tiling.block()};
  context.rows(
      "dchag::channels::unpack_values", heads * width, tiling.width, lanes,
      KOKKOS_LAMBDA(Index e, Index n) {
        store(z + e * pitch + n, load<L>(packed + sums.at(heads + e, n)) / load<L>(packed + sums.at(e / width, n)) +
                                     broadcast<L>(shift == nullptr ? T{0} : shift[e]));
      },
      moves<T>(2 * heads * width * tiling.width));
}

/// x[c, r, n] *= share[i(r), n], where rows r of head i stand together: [count, heads * width, pitch].
template <class T, class Space>
void scale_by_share(Context<Space> const& context, Tiling const& tiling, Index count, Index heads, Index width,
                    T const* share, T* x) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::scale_by_share", count * heads * width, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        T* const place = x + row * pitch + n;
        store(place, load<L>(place) * load<L>(share + row / width % heads * pitch + n));
      },
      moves<T>(2 * count * heads * width * tiling.width));
}

/// tokens[t] [D, pitch] = the place[t]-th of a message of tokens [D, width], or the other way.
template <class T, class Space>
void place_tokens(Context<Space> const& context, Tiling const& tiling, Index tokens, Index embed, Index const* place,
                  T* gathered, T* to, bool back) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch, columns = tiling.width;
  context.rows(
      "dchag::channels::place_tokens", tokens * embed, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const t = row / embed, e = row % embed;
        T *const one = to + row * pitch + n, *const other = gathered + (place[t] * embed + e) * columns + n;
        if (back)
          store(other, load<L>(one));
        else
          store(one, load<L>(other));
      },
      moves<T>(2 * tokens * embed * tiling.width));
}

}  // namespace dchag::channels::detail
