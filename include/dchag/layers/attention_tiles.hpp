#pragma once

#include <algorithm>
#include <dchag/core/math.hpp>
#include <dchag/core/pieces.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/matrix.hpp>

namespace dchag::layers {

/// What attention works on, or its gradient: queries [images * queries, heads * head size] of some locations, keys and
/// values [images * locations, heads * head size] of all.
template <class U>
struct AttentionRows {
  linalg::Matrix<U> queries, keys, values;

  /// Of rows that hold all three side by side.
  static AttentionRows of(linalg::Matrix<U> qkv) {
    Index const width = qkv.columns / 3;
    return {qkv.columns_at(0, width), qkv.columns_at(width, width), qkv.columns_at(2 * width, width)};
  }
};

/// The tiles that attention works through: some (image, head) pairs at a time, for some queries at a time, so that the
/// weights in flight fit Pieces::attention_bytes whatever the number of locations (but at least one query of one pair).
template <class T, class Space>
struct AttentionTiles {
  Index images, heads;              // of one tile: whole images, or some heads of one image
  Index queries, keys, row_stride;  // rows of the weights are padded to whole registers

  AttentionTiles(Context<Space> const& context, Index all_images, Index all_heads, Index all_queries, Index all_keys)
      : keys(all_keys) {
    Pieces const pieces = Pieces::of<Space>();
    row_stride = round_up(std::max<Index>(keys, 1), pieces.lanes<T, Space>());
    Index const rows = std::max<Index>(1, pieces.attention_bytes / (row_stride * static_cast<Index>(sizeof(T))));
    Index const workers = pieces.host ? context.space().concurrency() : 1;
    Index const pairs =
        std::clamp<Index>(rows / std::max<Index>(all_queries, 1), std::min(workers, rows), all_images * all_heads);
    heads = std::min(pairs, all_heads);
    images = std::min(pairs / heads, all_images);
    queries = std::min(all_queries, std::max<Index>(1, rows / (heads * images)));
  }
  Index size() const { return images * heads * queries * row_stride; }
};

/// Some queries of some heads of some images.
struct AttentionTile {
  Index first_image, images, first_head, heads, first_query, query_count;
  Index queries, locations, head_size, row_stride;  // queries and locations of one image

  /// The rows of these queries in a matrix whose rows are the queries of all images; of all keys, in one of all keys.
  template <class U>
  linalg::Batch<U> of_queries(linalg::Matrix<U> m) const {
    return rows(m.data + first_query * m.stride, query_count, queries, m.stride);
  }
  template <class U>
  linalg::Batch<U> of_keys(linalg::Matrix<U> m) const {
    return rows(m.data, locations, locations, m.stride);
  }
  template <class U>
  linalg::Batch<U> rows(U* data, Index count, Index per_image, Index stride) const {
    U* const first = data + first_image * per_image * stride + first_head * head_size;
    return {{first, count, head_size, stride}, images, per_image * stride, heads, head_size};
  }
  template <class T>
  linalg::Batch<T> weights(T* data) const {
    Index const one = query_count * row_stride;
    return {{data, query_count, locations, row_stride}, images, heads * one, heads, one};
  }

  Index rows_of_weights() const { return images * heads * query_count; }
  Index weights_size() const { return rows_of_weights() * row_stride; }
  /// Of row r of the weights: image, head and query.
  struct Place {
    Index image, head, query;
  };
  KOKKOS_FUNCTION Place place(Index r) const {
    Index const pair = r / query_count;
    return {first_image + pair / heads, first_head + pair % heads, first_query + r % query_count};
  }
};

/// A row of scores becomes weights; the logarithm of the sum of its exponentials is kept.
template <class T>
struct AttentionSoftmax {
  AttentionTile tile;
  Index heads;            // of an image
  T *weights, *log_sums;  // [rows of the tile, row_stride], [images, heads, queries]

  template <class Row>
  KOKKOS_FUNCTION void operator()(Index r, Row const& row) const {
    AttentionTile::Place const place = tile.place(r);
    Index const row_stride = tile.row_stride;
    T* const scores = weights + r * row_stride;
    for (Index j = tile.locations; j < row_stride; ++j) scores[j] = -Kokkos::Experimental::infinity_v<T>;
    T const largest = row.largest(row_stride, [&]<class L>(Index j) { return load<L>(scores + j); });
    T const sum = row.sum(row_stride, [&]<class L>(Index j) {
      L const weight = lanes_exp<T>(load<L>(scores + j) - largest);
      store(scores + j, weight);
      return weight;
    });
    T const inverse = T(1) / sum;
    row.each(row_stride, [&]<class L>(Index j) { store(scores + j, load<L>(scores + j) * inverse); });
    T* const log_sum = log_sums + (place.image * heads + place.head) * tile.queries + place.query;
    row.once([&] { *log_sum = largest + Kokkos::log(sum); });
  }
};

/// A row of scores becomes weights again, and the gradients of the weights become those of the scores:
/// P (dP - rowsum(dO o O)).
template <class T>
struct AttentionSoftmaxBackward {
  AttentionTile tile;
  Index heads;
  T *weights, *slopes;
  T const* log_sums;
  T const *out, *dout;  // all rows
  Index out_stride, dout_stride;

  template <class Row>
  KOKKOS_FUNCTION void operator()(Index r, Row const& row) const {
    AttentionTile::Place const place = tile.place(r);
    Index const at = place.image * tile.queries + place.query, first = place.head * tile.head_size;
    T const *const o = out + at * out_stride + first, *const d = dout + at * dout_stride + first;
    T const delta = row.sum(tile.head_size, [&]<class L>(Index j) { return load<L>(o + j) * load<L>(d + j); });
    T const log_sum = log_sums[(place.image * heads + place.head) * tile.queries + place.query];
    T *const weight = weights + r * tile.row_stride, *const gradient = slopes + r * tile.row_stride;
    row.each(tile.row_stride, [&]<class L>(Index j) {
      L const p = lanes_exp<T>(load<L>(weight + j) - log_sum);
      store(weight + j, p);
      store(gradient + j, p * (load<L>(gradient + j) - delta));
    });
  }
};

}  // namespace dchag::layers
