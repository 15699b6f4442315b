#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/core/math.hpp>
#include <dchag/core/pieces.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/gemm.hpp>

namespace dchag::layers {

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

/// softmax(Q K^T / sqrt(head size)) V for every head of every image (Vaswani et al., 2017).
///
/// Rows are image * locations + location. A row of qkv [rows, 3 * heads * head size] holds queries, keys and values,
/// each head by head; a row of out [rows, heads * head size] the heads side by side. Queries may also be of some
/// locations only, at least one of each image or none at all. Of the weights nothing is kept but the logarithm of the
/// sum of exponentials of each row of scores, from which backward makes them again tile by tile.
template <class T, class Space>
class Attention {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  Attention(Index heads, Index head_size) : heads_(heads), head_size_(head_size) {}

  /// Pushes what is kept and writes out. Whoever calls it releases what is kept.
  void forward(Context<Space> const& context, ConstRows qkv, Rows out, Index images) {
    keep(context, images, qkv.rows / images);
    attend(context, qkv, out);
  }

  void keep(Context<Space> const& context, Index images, Index queries) {
    log_sums_ = context.workspace().template push<T***>(images, heads_, queries);
  }

  void attend(Context<Space> const& context, ConstRows qkv, Rows out) const {
    attend(context, AttentionRows<T const>::of(qkv), out);
  }
  void attend(Context<Space> const& context, AttentionRows<T const> const& in, Rows out) const {
    auto scope = context.workspace().scope();
    Index const locations = in.keys.rows / images();
    AttentionTiles<T, Space> const tiles(context, images(), heads_, queries(), locations);
    T* const weights = context.workspace().template push<T*>(tiles.size()).data();
    for_tiles(tiles, [&](Tile const& tile) {
      auto const block = tile.weights(weights);
      linalg::batched_gemm(context, linalg::Op::none, linalg::Op::transpose, score_scale(), tile.of_queries(in.queries),
                           tile.of_keys(in.keys), T{0}, block);
      softmax(context, tile, weights);
      linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1}, block, tile.of_keys(in.values), T{0},
                           tile.of_queries(out));
    });
  }

  /// Writes dqkv, given what forward was given and wrote and the gradient dout of its result.
  void backward(Context<Space> const& context, ConstRows qkv, ConstRows out, ConstRows dout, Rows dqkv) const {
    backward(context, AttentionRows<T const>::of(qkv), out, dout, AttentionRows<T>::of(dqkv));
  }
  /// The same. Where there are no queries, nothing is written.
  void backward(Context<Space> const& context, AttentionRows<T const> const& in, ConstRows out, ConstRows dout,
                AttentionRows<T> const& gradient) const {
    auto scope = context.workspace().scope();
    Index const locations = in.keys.rows / images();
    AttentionTiles<T, Space> const tiles(context, images(), heads_, queries(), locations);
    T* const weights = context.workspace().template push<T*>(tiles.size()).data();
    T* const slopes = context.workspace().template push<T*>(tiles.size()).data();
    using linalg::Op;
    for_tiles(tiles, [&](Tile const& tile) {
      auto const probabilities = tile.weights(weights), scores = tile.weights(slopes);
      auto const queries = tile.of_queries(in.queries), slope = tile.of_queries(dout);
      auto const keys = tile.of_keys(in.keys), values = tile.of_keys(in.values);
      T const beta = tile.first_query == 0 ? T{0} : T{1};
      linalg::batched_gemm(context, Op::none, Op::transpose, score_scale(), queries, keys, T{0}, probabilities);
      linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, slope, values, T{0}, scores);
      softmax_backward(context, tile, weights, slopes, out, dout);
      linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, probabilities, slope, beta,
                           tile.of_keys(gradient.values));
      linalg::batched_gemm(context, Op::none, Op::none, score_scale(), scores, keys, T{0},
                           tile.of_queries(gradient.queries));
      linalg::batched_gemm(context, Op::transpose, Op::none, score_scale(), scores, queries, beta,
                           tile.of_keys(gradient.keys));
    });
  }

  Index images() const { return static_cast<Index>(log_sums_.extent(0)); }
  Index queries() const { return static_cast<Index>(log_sums_.extent(2)); }  // of one image
  T score_scale() const { return T(1) / std::sqrt(static_cast<T>(head_size_)); }

  /// Some queries of some heads of some images.
  struct Tile {
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
    Index weights_size() const { return images * heads * query_count * row_stride; }
    linalg::Batch<T> weights(T* data) const {
      Index const one = query_count * row_stride;
      return {{data, query_count, locations, row_stride}, images, heads * one, heads, one};
    }
  };

  template <class Body>
  void for_tiles(AttentionTiles<T, Space> const& tiles, Body const& body) const {
    for (Index image = 0; image < images(); image += tiles.images)
      for (Index head = 0; head < heads_; head += tiles.heads)
        for (Index query = 0; query < queries(); query += tiles.queries)
          body(Tile{image, std::min(tiles.images, images() - image), head, std::min(tiles.heads, heads_ - head), query,
                    std::min(tiles.queries, queries() - query), queries(), tiles.keys, head_size_, tiles.row_stride});
  }

  /// Scores become weights, row by row; the logarithms of the sums of their exponentials are kept.
  void softmax(Context<Space> const& context, Tile const& tile, T* weights) const {
    T* const log_sums = log_sums_.data();
    Index const heads = heads_, queries = tile.queries, locations = tile.locations, row_stride = tile.row_stride;
    row_loop<T>(
        context, "dchag::attention::softmax", tile.images * tile.heads * tile.query_count,
        KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
          Index const pair = r / tile.query_count, image = tile.first_image + pair / tile.heads,
                      head = tile.first_head + pair % tile.heads, query = tile.first_query + r % tile.query_count;
          T* const scores = weights + r * row_stride;
          for (Index j = locations; j < row_stride; ++j) scores[j] = -Kokkos::Experimental::infinity_v<T>;
          T const largest = row.largest(row_stride, [&]<class L>(Index j) { return load<L>(scores + j); });
          T const sum = row.sum(row_stride, [&]<class L>(Index j) {
            L const weight = lanes_exp<T>(load<L>(scores + j) - largest);
            store(scores + j, weight);
            return weight;
          });
          T const inverse = T(1) / sum;
          row.each(row_stride, [&]<class L>(Index j) { store(scores + j, load<L>(scores + j) * inverse); });
          row.once([&] { log_sums[(image * heads + head) * queries + query] = largest + Kokkos::log(sum); });
        },
        moves<T>(2 * tile.weights_size(), 20 * tile.weights_size()));
  }

  /// Scores become weights again, and the gradients of the weights become those of the scores: P (dP - rowsum(dO o O)).
  void softmax_backward(Context<Space> const& context, Tile const& tile, T* weights, T* slopes, ConstRows out,
                        ConstRows dout) const {
    T const *const log_sums = log_sums_.data(), *const result = out.data, *const slope = dout.data;
    Index const heads = heads_, head_size = head_size_, queries = tile.queries, row_stride = tile.row_stride;
    Index const result_stride = out.stride, slope_stride = dout.stride;
    row_loop<T>(
        context, "dchag::attention::softmax_backward", tile.images * tile.heads * tile.query_count,
        KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
          Index const pair = r / tile.query_count, image = tile.first_image + pair / tile.heads,
                      head = tile.first_head + pair % tile.heads, query = tile.first_query + r % tile.query_count;
          T const *const o = result + (image * queries + query) * result_stride + head * head_size,
                         *const d = slope + (image * queries + query) * slope_stride + head * head_size;
          T const delta = row.sum(head_size, [&]<class L>(Index j) { return load<L>(o + j) * load<L>(d + j); });
          T const log_sum = log_sums[(image * heads + head) * queries + query];
          T *const weight = weights + r * row_stride, *const gradient = slopes + r * row_stride;
          row.each(row_stride, [&]<class L>(Index j) {
            L const p = lanes_exp<T>(load<L>(weight + j) - log_sum);
            store(weight + j, p);
            store(gradient + j, p * (load<L>(gradient + j) - delta));
          });
        },
        moves<T>(4 * tile.weights_size(), 20 * tile.weights_size()));
  }

 private:
  Index heads_, head_size_;
  View<T***, Space> log_sums_;  // [images, heads, queries]
};

}  // namespace dchag::layers
