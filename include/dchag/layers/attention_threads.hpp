#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/math.hpp>
#include <dchag/layers/attention_tiles.hpp>
#include <dchag/linalg/thread_gemm.hpp>
#include <utility>

namespace dchag::layers {

/// Attention where a host's threads multiply each by itself. A thread has an (image, head) pair, or some queries of
/// one, and goes through blocks of queries and keys, whose scores stay in its cache; the softmax of a row is carried
/// from one block of keys to the next (Milakov and Gimelshein, 2018; Dao et al., 2022).
template <class T, class Space>
class AttentionThreads {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  /// Of so many queries and locations of each image. log_sums [images, heads, queries]: the logarithm of the sum of
  /// exponentials of each row of scores, which attend() writes and backward() reads.
  AttentionThreads(Index images, Index heads, Index head_size, Index queries, Index locations, T* log_sums)
      : pairs_(images * heads),
        heads_(heads),
        head_size_(head_size),
        queries_(queries),
        locations_(locations),
        query_block_(even_block(queries, most_queries, Operand::row_step)),
        key_block_(even_block(locations, most_keys, Operand::column_step)),
        scale_(T(1) / std::sqrt(static_cast<T>(head_size))),
        log_sums_(log_sums) {}

  /// Whether the pairs give all threads as much to do.
  bool suits(Context<Space> const& context) const {
    Index const threads = context.space().concurrency();
    return Pieces::of<Space>().host && (pairs_ % threads == 0 || pairs_ >= 8 * threads);
  }

  void attend(Context<Space> const& context, AttentionRows<T const> const& in, Rows out) const {
    Index const blocks = ceil_div(queries_, query_block_);
    AttentionThreads const self = *this;
    Space const space = context.space();
    share(context, "dchag::attention::attend", 2, pairs_ * blocks, numbers(1, 3, 1),
          [=](Range const& items, T* storage) {
            for (Index item = items.first, next = 0; item < items.end; item = next) {
              Index const pair = item / blocks;
              next = std::min(items.end, (pair + 1) * blocks);
              self.attend_pair(space, in, out, pair, {item - pair * blocks, next - pair * blocks}, storage);
            }
          });
  }

  /// A pair is one thread's, which adds up the gradients of its keys and values.
  void backward(Context<Space> const& context, AttentionRows<T const> const& in, ConstRows out, ConstRows dout,
                AttentionRows<T> const& gradient) const {
    AttentionThreads const self = *this;
    Space const space = context.space();
    share(context, "dchag::attention::backward", 5, pairs_, numbers(2, 4, 4), [=](Range const& pairs, T* storage) {
      for (Index pair = pairs.first; pair < pairs.end; ++pair)
        self.backward_pair(space, in, out, dout, gradient, pair, storage);
    });
  }

 private:
  using Operand = linalg::RightOperand<Space, T>;
  using Line = Row<T, Space, true>;

  static constexpr Index most_queries = 96, most_keys = 1024 / sizeof(T);

  struct Range {
    Index first, end;
    Index count() const { return end - first; }
  };
  /// body(range of items, storage) on every thread, which has that many numbers of its own; so many products a pair.
  template <class Body>
  void share(Context<Space> const& context, char const* label, Index products, Index items, Index each,
             Body const& body) const {
    Index const parts = context.space().concurrency();
    auto scope = context.workspace().scope();
    T* const all = context.workspace().template push<T**>(parts, each).data();
    linalg::tell_products<T>(context, products * pairs_, queries_, head_size_, locations_);
    auto const own = [=](Index part) { body({items * part / parts, items * (part + 1) / parts}, all + part * each); };
    context.loop(label, parts, own, cost());
  }

  /// The rows of one head of one image.
  template <class U>
  struct Head {
    linalg::Matrix<U> rows;
    linalg::Matrix<U> at(Range const& range) const { return rows.rows_at(range.first, range.count()); }
    U* row(Index r) const { return rows.data + r * rows.stride; }
  };
  template <class U>
  Head<U> head(linalg::Matrix<U> const& m, Index pair, Index per_image) const {
    return {m.rows_at(pair / heads_ * per_image, per_image).columns_at(pair % heads_ * head_size_, head_size_)};
  }
  template <class U>
  Head<U> of_queries(linalg::Matrix<U> const& m, Index pair) const {
    return head(m, pair, queries_);
  }
  template <class U>
  Head<U> of_keys(linalg::Matrix<U> const& m, Index pair) const {
    return head(m, pair, locations_);
  }

  /// What cuts an extent into the fewest and most even blocks of `most`, rounded up to whole steps.
  static Index even_block(Index extent, Index most, Index step) {
    Index const some = std::max<Index>(extent, 1);
    return round_up(ceil_div(some, ceil_div(some, most)), step);
  }
  Range queries_from(Index first) const { return {first, std::min(queries_, first + query_block_)}; }
  Range keys_from(Index first) const { return {first, std::min(locations_, first + key_block_)}; }

  /// A thread's storage: blocks of scores, rows of a block of keys and of one of queries in some form, and a number for
  /// each query.
  Index numbers(Index scores, Index of_keys, Index of_queries) const {
    return scores * score_numbers() + of_keys * row_numbers(key_block_) + of_queries * row_numbers(query_block_) +
           round_up(queries_, 16);
  }
  Index score_numbers() const { return query_block_ * key_block_; }
  Index row_numbers(Index rows) const {
    return std::max(Operand::size(head_size_, rows), Operand::size(rows, head_size_));
  }
  struct Storage {
    T* next;
    T* take(Index count) { return std::exchange(next, next + count); }
  };

  /// Of the weights, which do not go through memory.
  LoopCost cost() const { return moves<T>(0, 20 * pairs_ * queries_ * locations_); }

  /// Of some blocks of queries.
  void attend_pair(Space const& space, AttentionRows<T const> const& in, Rows out, Index pair, Range const& blocks,
                   T* storage) const {
    using linalg::Op;
    Storage left{storage};
    Index const of_keys_numbers = row_numbers(key_block_);
    T *const scores = left.take(score_numbers()), *const keys_copy = left.take(of_keys_numbers),
             *const keys_storage = left.take(of_keys_numbers), *const values_storage = left.take(of_keys_numbers),
             *const queries_copy = left.take(row_numbers(query_block_)), *const sums = left.next;
    auto const queries = of_queries(in.queries, pair), keys = of_keys(in.keys, pair), values = of_keys(in.values, pair);
    auto const results = of_queries(out, pair);
    T* const largest = log_sums_ + pair * queries_;  // until all keys are there
    Index const first = blocks.first * query_block_, end = std::min(queries_, blocks.end * query_block_);
    for (Range k = keys_from(0); k.count() > 0; k = keys_from(k.end)) {
      Operand const turned_keys(Op::transpose, packed(keys.at(k), keys_copy), keys_storage);
      Operand const summed_values(Op::none, values.at(k), values_storage);
      for (Range q = queries_from(first); q.first < end; q = queries_from(q.end)) {
        Rows const block(scores, q.count(), k.count(), key_block_);
        turned_keys.multiply(space, Op::none, scale_, packed(queries.at(q), queries_copy), T{0}, block);
        for (Index r = q.first; r < q.end; ++r)
          carry_softmax(k, scores + (r - q.first) * key_block_, results.row(r), largest[r], sums[r]);
        summed_values.multiply(space, Op::none, T{1}, block, k.first == 0 ? T{0} : T{1}, results.at(q));
      }
    }
    for (Index r = first; r < end; ++r) {
      scale_row(results.row(r), T(1) / sums[r]);
      largest[r] += std::log(sums[r]);
    }
  }

  void backward_pair(Space const& space, AttentionRows<T const> const& in, ConstRows out, ConstRows dout,
                     AttentionRows<T> const& gradient, Index pair, T* storage) const {
    using linalg::Op;
    Storage left{storage};
    Index const of_keys_numbers = row_numbers(key_block_), of_queries_numbers = row_numbers(query_block_);
    T *const weights = left.take(score_numbers()), *const slopes = left.take(score_numbers());
    T *const keys_copy = left.take(of_keys_numbers), *const turned_keys_storage = left.take(of_keys_numbers),
             *const keys_storage = left.take(of_keys_numbers), *const values_storage = left.take(of_keys_numbers);
    T *const queries_copy = left.take(of_queries_numbers), *const queries_storage = left.take(of_queries_numbers),
             *const pulls_copy = left.take(of_queries_numbers), *const pulls_storage = left.take(of_queries_numbers);
    T* const delta = left.next;
    auto const queries = of_queries(in.queries, pair), pulls = of_queries(dout, pair);
    auto const keys = of_keys(in.keys, pair), values = of_keys(in.values, pair);
    auto const dqueries = of_queries(gradient.queries, pair);
    auto const dkeys = of_keys(gradient.keys, pair), dvalues = of_keys(gradient.values, pair);
    T const* const log_sums = log_sums_ + pair * queries_;
    find_delta(of_queries(out, pair), pulls, delta);
    for (Range k = keys_from(0); k.count() > 0; k = keys_from(k.end)) {
      ConstRows const own_keys = packed(keys.at(k), keys_copy);
      Operand const turned_keys(Op::transpose, own_keys, turned_keys_storage);
      Operand const turned_values(Op::transpose, values.at(k), values_storage);
      Operand const summed_keys(Op::none, own_keys, keys_storage);
      T const more_keys = k.first == 0 ? T{0} : T{1};
      for (Range q = queries_from(0); q.count() > 0; q = queries_from(q.end)) {
        ConstRows const own_queries = packed(queries.at(q), queries_copy), own_pulls = packed(pulls.at(q), pulls_copy);
        Operand const summed_queries(Op::none, own_queries, queries_storage);
        Operand const summed_pulls(Op::none, own_pulls, pulls_storage);
        Rows const p(weights, q.count(), k.count(), key_block_), ds(slopes, q.count(), k.count(), key_block_);
        T const more_queries = q.first == 0 ? T{0} : T{1};
        turned_keys.multiply(space, Op::none, scale_, own_queries, T{0}, p);
        turned_values.multiply(space, Op::none, T{1}, own_pulls, T{0}, ds);
        for (Index r = q.first; r < q.end; ++r)
          softmax_gradient(k, weights + (r - q.first) * key_block_, slopes + (r - q.first) * key_block_, log_sums[r],
                           delta[r]);
        summed_pulls.multiply(space, Op::transpose, T{1}, p, more_queries, dvalues.at(k));
        summed_queries.multiply(space, Op::transpose, scale_, ds, more_queries, dkeys.at(k));
        summed_keys.multiply(space, Op::none, scale_, ds, more_keys, dqueries.at(q));
      }
    }
  }

  /// The rows one after the other: those of a head stand at distances that fall into few sets of a cache.
  static ConstRows packed(ConstRows const& rows, T* storage) {
    for (Index r = 0; r < rows.rows; ++r) {
      T const* const from = rows.data + r * rows.stride;
      T* const to = storage + r * rows.columns;
      Line{}.each(rows.columns, [&]<class L>(Index j) { store(to + j, load<L>(from + j)); });
    }
    return {storage, rows.rows, rows.columns};
  }
  void scale_row(T* row, T factor) const {
    Line{}.each(head_size_, [&]<class L>(Index j) { store(row + j, load<L>(row + j) * factor); });
  }

  /// A row of scores becomes exponentials beside the largest score so far. So does what there is of the row's result,
  /// and of the sum of the exponentials.
  void carry_softmax(Range const& keys, T* row, T* result, T& largest, T& sum) const {
    T const before = keys.first == 0 ? Kokkos::reduction_identity<T>::max() : largest;
    largest = std::max(before, Line{}.largest(keys.count(), [&]<class L>(Index j) { return load<L>(row + j); }));
    T const base = largest, added = Line{}.sum(keys.count(), [&]<class L>(Index j) {
      L const weight = lanes_exp_below<T>(static_cast<L>(load<L>(row + j) - base));
      store(row + j, weight);
      return weight;
    });
    if (keys.first == 0) {
      sum = added;
    } else {
      T const factor = std::exp(before - base);
      sum = sum * factor + added;
      if (factor != T{1}) scale_row(result, factor);
    }
  }

  /// The rows' sums of out o dout.
  void find_delta(Head<T const> const& out, Head<T const> const& dout, T* delta) const {
    for (Index r = 0; r < queries_; ++r) {
      T const *const o = out.row(r), *const d = dout.row(r);
      delta[r] = Line{}.sum(head_size_, [&]<class L>(Index j) { return load<L>(o + j) * load<L>(d + j); });
    }
  }

  /// A row of scores becomes weights again, and the gradients of the weights become those of the scores:
  /// P (dP - delta).
  void softmax_gradient(Range const& keys, T* weights, T* slopes, T log_sum, T delta) const {
    Line{}.each(keys.count(), [&]<class L>(Index j) {
      L const p = lanes_exp_below<T>(static_cast<L>(load<L>(weights + j) - log_sum));
      store(weights + j, p);
      store(slopes + j, static_cast<L>(p * (load<L>(slopes + j) - delta)));
    });
  }

  Index pairs_, heads_, head_size_, queries_, locations_, query_block_, key_block_;
  T scale_;
  T* log_sums_;
};

}  // namespace dchag::layers
