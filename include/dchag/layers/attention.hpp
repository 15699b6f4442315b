#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/layers/attention_threads.hpp>
#include <dchag/linalg/gemm.hpp>

namespace dchag::layers {

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
      if (threads(in).suits(context)) return threads(in).attend(context, in, out);
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
      if (threads(in).suits(context)) return threads(in).backward(context, in, out, dout, gradient);
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

  /// Host threads that multiply each by itself.
  AttentionThreads<T, Space> threads(AttentionRows<T const> const& in) const {
    return {images(), heads_, head_size_, queries(), in.keys.rows / images(), log_sums_.data()};
  }

  Index heads_, head_size_;
  View<T***, Space> log_sums_;  // [images, heads, queries]
};

}  // namespace dchag::layers
