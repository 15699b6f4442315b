#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/layers/attention_tiles.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/thread_gemm.hpp>

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
    if constexpr (linalg::has_thread_gemm<Space>)
      if (suits_threads(context)) return attend_by_threads(context, in, out);
    auto scope = context.workspace().scope();
    Index const locations = in.keys.rows / images();
    AttentionTiles<T, Space> const tiles(context, images(), heads_, queries(), locations);
    T* const weights = context.workspace().template push<T*>(tiles.size()).data();
    for_tiles(tiles, [&](AttentionTile const& tile) {
      auto const block = tile.weights(weights);
      linalg::batched_gemm(context, linalg::Op::none, linalg::Op::transpose, score_scale(), tile.of_queries(in.queries),
                           tile.of_keys(in.keys), T{0}, block);
      row_loop<T>(context, "dchag::attention::softmax", tile.rows_of_weights(), softmax(tile, weights),
                  moves<T>(2 * tile.weights_size(), 20 * tile.weights_size()));
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
    if constexpr (linalg::has_thread_gemm<Space>)
      if (suits_threads(context)) return backward_by_threads(context, in, out, dout, gradient);
    auto scope = context.workspace().scope();
    Index const locations = in.keys.rows / images();
    AttentionTiles<T, Space> const tiles(context, images(), heads_, queries(), locations);
    T* const weights = context.workspace().template push<T*>(tiles.size()).data();
    T* const slopes = context.workspace().template push<T*>(tiles.size()).data();
    using linalg::Op;
    for_tiles(tiles, [&](AttentionTile const& tile) {
      auto const probabilities = tile.weights(weights), scores = tile.weights(slopes);
      auto const queries = tile.of_queries(in.queries), slope = tile.of_queries(dout);
      auto const keys = tile.of_keys(in.keys), values = tile.of_keys(in.values);
      T const beta = tile.first_query == 0 ? T{0} : T{1};
      linalg::batched_gemm(context, Op::none, Op::transpose, score_scale(), queries, keys, T{0}, probabilities);
      linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, slope, values, T{0}, scores);
      row_loop<T>(context, "dchag::attention::softmax_backward", tile.rows_of_weights(),
                  softmax_backward(tile, weights, slopes, out, dout),
                  moves<T>(4 * tile.weights_size(), 20 * tile.weights_size()));
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

  template <class Body>
  void for_tiles(AttentionTiles<T, Space> const& tiles, Body const& body) const {
    for (Index image = 0; image < images(); image += tiles.images)
      for (Index head = 0; head < heads_; head += tiles.heads)
        for (Index query = 0; query < queries(); query += tiles.queries)
          body(AttentionTile{image, std::min(tiles.images, images() - image), head,
                             std::min(tiles.heads, heads_ - head), query, std::min(tiles.queries, queries() - query),
                             queries(), tiles.keys, head_size_, tiles.row_stride});
  }

 private:
  AttentionSoftmax<T> softmax(AttentionTile const& tile, T* weights) const {
    return {tile, heads_, weights, log_sums_.data()};
  }
  AttentionSoftmaxBackward<T> softmax_backward(AttentionTile const& tile, T* weights, T* slopes, ConstRows out,
                                               ConstRows dout) const {
    return {tile, heads_, weights, slopes, log_sums_.data(), out.data, dout.data, out.stride, dout.stride};
  }

  // On the host a thread does all that belongs to a tile of one (image, head) pair, whose weights never leave its
  // cache.

  /// Where the pairs give all threads as much to do.
  bool suits_threads(Context<Space> const& context) const {
    Index const pairs = images() * heads_, threads = context.space().concurrency();
    return Pieces::of<Space>().host && (pairs % threads == 0 || pairs >= 8 * threads);
  }

  /// Tiles of one pair.
  struct ThreadTiles {
    Index heads, queries, locations, head_size, row_stride, rows, per_pair;  // rows: queries of a tile

    ThreadTiles(Index heads, Index queries, Index locations, Index head_size)
        : heads(heads),
          queries(queries),
          locations(locations),
          head_size(head_size),
          row_stride(round_up(std::max<Index>(locations, 1), lane_count<T, Space>)),
          rows(std::max<Index>(1, attention_thread_bytes / (row_stride * static_cast<Index>(sizeof(T))))),
          per_pair(ceil_div(queries, rows)) {
      rows = std::max<Index>(1, ceil_div(queries, std::max<Index>(1, per_pair)));
    }
    AttentionTile at(Index pair, Index tile) const {
      Index const first = std::min(queries, tile * rows);
      return {pair / heads, 1,         pair % heads, 1,         first, std::min(rows, queries - first),
              queries,      locations, head_size,    row_stride};
    }
    Index size() const { return rows * row_stride; }
    /// Of the weights, which do not go through memory, of so many pairs.
    LoopCost cost(Index pairs) const { return moves<T>(0, 20 * pairs * queries * locations); }
  };
  ThreadTiles thread_tiles(AttentionRows<T const> const& in) const {
    return {heads_, queries(), in.keys.rows / images(), head_size_};
  }

  template <class Body>
  static void each_row(AttentionTile const& tile, Body const& body) {
    for (Index r = 0; r < tile.query_count; ++r) body(r, Row<T, Space, true>{});
  }

  void attend_by_threads(Context<Space> const& context, AttentionRows<T const> const& in, Rows out) const {
    ThreadTiles const tiles = thread_tiles(in);
    Index const parts = context.space().concurrency(), items = images() * heads_ * tiles.per_pair;
    auto scope = context.workspace().scope();
    T* const all_weights = context.workspace().template push<T**>(parts, tiles.size()).data();
    linalg::tell_products<T>(context, 2 * images() * heads_, queries(), head_size_, tiles.locations);
    Attention const attention = *this;
    Space const space = context.space();
    context.loop(
        "dchag::attention::attend", parts,
        [=](Index part) {
          using linalg::Op;
          T* const weights = all_weights + part * tiles.size();
          for (Index item = items * part / parts; item < items * (part + 1) / parts; ++item) {
            AttentionTile const tile = tiles.at(item / tiles.per_pair, item % tiles.per_pair);
            Rows const block = tile.weights(weights).first;
            linalg::thread_gemm(space, Op::none, Op::transpose, attention.score_scale(),
                                tile.of_queries(in.queries).first, tile.of_keys(in.keys).first, T{0}, block);
            each_row(tile, attention.softmax(tile, weights));
            linalg::thread_gemm(space, Op::none, Op::none, T{1}, block, tile.of_keys(in.values).first, T{0},
                                tile.of_queries(out).first);
          }
        },
        tiles.cost(images() * heads_));
  }

  /// A pair is one thread's, which adds up the gradients of its keys and values.
  void backward_by_threads(Context<Space> const& context, AttentionRows<T const> const& in, ConstRows out,
                           ConstRows dout, AttentionRows<T> const& gradient) const {
    ThreadTiles const tiles = thread_tiles(in);
    Index const parts = context.space().concurrency(), pairs = images() * heads_;
    auto scope = context.workspace().scope();
    T* const all_weights = context.workspace().template push<T***>(2, parts, tiles.size()).data();
    linalg::tell_products<T>(context, 5 * pairs, queries(), head_size_, tiles.locations);
    Attention const attention = *this;
    Space const space = context.space();
    context.loop(
        "dchag::attention::backward", parts,
        [=](Index part) {
          T *const weights = all_weights + 2 * part * tiles.size(), *const slopes = weights + tiles.size();
          for (Index pair = pairs * part / parts; pair < pairs * (part + 1) / parts; ++pair)
            for (Index i = 0; i < tiles.per_pair; ++i)
              attention.backward_of_tile(space, tiles.at(pair, i), in, out, dout, gradient, weights, slopes);
        },
        tiles.cost(pairs));
  }
  void backward_of_tile(Space const& space, AttentionTile const& tile, AttentionRows<T const> const& in, ConstRows out,
                        ConstRows dout, AttentionRows<T> const& gradient, T* weights, T* slopes) const {
    using linalg::Op;
    Rows const probabilities = tile.weights(weights).first, scores = tile.weights(slopes).first;
    ConstRows const queries = tile.of_queries(in.queries).first, slope = tile.of_queries(dout).first,
                    keys = tile.of_keys(in.keys).first, values = tile.of_keys(in.values).first;
    T const beta = tile.first_query == 0 ? T{0} : T{1};
    linalg::thread_gemm(space, Op::none, Op::transpose, score_scale(), queries, keys, T{0}, probabilities);
    linalg::thread_gemm(space, Op::none, Op::transpose, T{1}, slope, values, T{0}, scores);
    each_row(tile, softmax_backward(tile, weights, slopes, out, dout));
    linalg::thread_gemm(space, Op::transpose, Op::none, T{1}, probabilities, slope, beta,
                        tile.of_keys(gradient.values).first);
    linalg::thread_gemm(space, Op::none, Op::none, score_scale(), scores, keys, T{0},
                        tile.of_queries(gradient.queries).first);
    linalg::thread_gemm(space, Op::transpose, Op::none, score_scale(), scores, queries, beta,
                        tile.of_keys(gradient.keys).first);
  }

  Index heads_, head_size_;
  View<T***, Space> log_sums_;  // [images, heads, queries]
};

}  // namespace dchag::layers
