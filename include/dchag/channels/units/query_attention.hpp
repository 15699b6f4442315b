#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/tile.hpp>
#include <dchag/channels/units/unit.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/pieces.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/reduce.hpp>
#include <dchag/linalg/turn.hpp>
#include <dchag/parallel/shares.hpp>
#include <limits>
#include <string>
#include <utility>

namespace dchag::channels {

namespace detail {

/// delta[i, n] = sum over the features e of head i of dz[e, n] (z[e, n] - shift[e]); shift may be null.
template <class T, class Space>
void head_products(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* dz,
                   T const* z, T const* shift, T* delta) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::head_products", heads * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const i = item / blocks, n = item % blocks * lanes;
        L total{};
        for (Index e = i * width; e < (i + 1) * width; ++e) {
          L value = load<L>(z + e * pitch + n);
          if (shift != nullptr) value -= shift[e];
          total += load<L>(dz + e * pitch + n) * value;
        }
        store(delta + i * pitch + n, total);
      },
      moves<T>(2 * heads * width * tiling.width));
}

/// delta[i, n] += sum over the features e of head i of dz[e, n] bias[e]
template <class T, class Space>
void add_bias_products(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* dz,
                       T const* bias, T* delta) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::add_bias_products", heads * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const i = item / blocks, n = item % blocks * lanes;
        L total = load<L>(delta + i * pitch + n);
        for (Index e = i * width; e < (i + 1) * width; ++e) total += load<L>(dz + e * pitch + n) * bias[e];
        store(delta + i * pitch + n, total);
      },
      moves<T>(heads * width * tiling.width));
}

/// left[r, c] += x[r] y[r / rows_per_y, c]
template <class T, class Space>
void add_outer(Context<Space> const& context, Index rows, Index columns, Index rows_per_y, T const* x, T const* y,
               T* left) {
  constexpr Index block = on_host<Space> ? 1024 : 1;  // columns that a thread takes
  Index const blocks = ceil_div(columns, block);
  context.loop(
      "dchag::channels::add_outer", rows * blocks,
      KOKKOS_LAMBDA(Index item) {
        Index const row = item / blocks, first = item % blocks * block, end = Kokkos::min(first + block, columns);
        T const factor = x[row];
        T const* const from = y + row / rows_per_y * columns;
        for (Index column = first; column < end; ++column) left[row * columns + column] += factor * from[column];
      },
      moves<T>(2 * rows * columns));
}

}  // namespace detail

/// Attention of one learned query over the tokens of a unit: its parameters, and the parts that every order of
/// evaluation shares (channel-math.md, sections 2 and 3). Values z [D, pitch] are the heads' weighted sums side by
/// side, with bv.
///
/// Where the ranks of a head group divide the heads (all of them have all tokens), each has the features E of its own
/// ones: h heads and E features of queries, keys and values in the comments below are then its own, and E < D.
template <class T, class Space>
class QueryAttention {
 public:
  QueryAttention(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape,
                 Communicator const& head_group = {})
      : embed_(shape.embed), width_(embed_ / shape.heads), by_heads_(head_group) {
    Range const own = Shares::even(shape.heads, head_group.size()).range(head_group.rank());
    auto const divided = [&](Index outer, Index inner) {
      return by_heads_.alone() ? Placement{} : Placement::divided(outer, shape.heads, inner, {own});
    };
    heads_ = own.count;
    double const deviation = 1.0 / std::sqrt(static_cast<double>(embed_));
    query_ = &parameters.add(prefix + "query", {1, 1, embed_}, normal(0.02),
                             by_heads_.alone() ? Placement{} : Placement::summed());
    in_weight_ = &parameters.add(prefix + "in_proj_weight", {3 * embed_, embed_}, normal(deviation),
                                 divided(3, width_ * embed_));
    in_bias_ = &parameters.add(prefix + "in_proj_bias", {3 * embed_}, constant(0), divided(3, width_));
    out_weight_ =
        &parameters.add(prefix + "out_proj.weight", {embed_, embed_}, normal(deviation), divided(embed_, width_));
    out_bias_ = &parameters.add(prefix + "out_proj.bias", {embed_}, constant(0));
  }

  /// From now on the unit's tokens are those of all ranks of the group; see SharedUnit.
  void share(Joint<T, Space> const& joint) { joint_ = joint; }

  /// Makes the maximum, the normalizer and the values of this rank's tokens those of all ranks' tokens; answers this
  /// rank's share of the weight [h, pitch], or null where it holds all tokens.
  T const* join(Context<Space> const& context, Tiling const& tiling, bool with_value_bias, T* max, T* normalizer,
                T* z) const {
    return joint_.attention(context, tiling, heads_, width(), with_value_bias ? value_bias() : nullptr, max, normalizer,
                            z);
  }

  /// A rank that holds none of the tokens goes forward: kept are the maximum, the normalizer and the values, as of
  /// TokenSpace.
  void forward_without_tokens(Context<Space> const& context, Tiling const& tiling, T* kept, T* out) const {
    auto scope = context.workspace().scope();
    T *const max = kept, *const normalizer = kept + heads_ * tiling.pitch, *const z = kept + 2 * heads_ * tiling.pitch;
    context.fill(reshape<T*, Space>(max, heads_ * tiling.pitch), -std::numeric_limits<T>::max());
    context.fill(reshape<T*, Space>(normalizer, (heads_ + embed_) * tiling.pitch), T{0});
    join(context, tiling, false, max, normalizer, z);
    project(context, tiling, true, z, out);
  }
  /// And backward: it may be its turn to add what is the same on every rank.
  void backward_without_tokens(Context<Space> const& context, Tiling const& tiling, T const* kept, T const* gradient) {
    auto scope = context.workspace().scope();
    T* const dz = context.workspace().template push<T**>(embed_, tiling.pitch).data();
    T* const delta = context.workspace().template push<T**>(heads_, tiling.pitch).data();
    pull(context, tiling, kept + 2 * heads_ * tiling.pitch, gradient, true, dz, delta);
  }
  Index kept_without_tokens() const { return 2 * heads_ + embed_; }

  Index embed() const { return embed_; }
  Index heads() const { return heads_; }
  Index width() const { return width_; }              // features of a head
  Index features() const { return heads_ * width_; }  // E
  T scale() const { return static_cast<T>(1.0 / std::sqrt(static_cast<double>(width()))); }

  T* query_values() const { return kappa_; }                                          // kappa [E]
  T* scorers() const { return scorers_; }                                             // u [h, D]
  T* scorer_gradients() const { return du_; }                                         // [h, D], of u
  linalg::Matrix<T> key_weight() const { return projection(in_weight_->values, 1); }  // [E, D], as the next three
  linalg::Matrix<T> value_weight() const { return projection(in_weight_->values, 2); }
  linalg::Matrix<T> key_weight_gradient() const { return projection(in_weight_->gradients, 1); }
  linalg::Matrix<T> value_weight_gradient() const { return projection(in_weight_->gradients, 2); }
  T* key_bias() const { return in_bias_->values + features(); }
  T* value_bias() const { return in_bias_->values + 2 * features(); }
  T* key_bias_gradient() const { return in_bias_->gradients + features(); }

  /// The d rows of a [E, columns] matrix that belong to each head.
  linalg::Batch<T> by_head(linalg::Matrix<T> m) const { return {m.rows_at(0, width()), heads_, width() * m.stride}; }

  /// kappa = Wq q + bq and u_i = Wk(i)^T kappa(i) / sqrt(d), on the workspace until the batch is done; zeroes du.
  void prepare(Context<Space> const& context) {
    using linalg::Op;
    auto& workspace = context.workspace();
    tiles_pulled_ = 0;
    kappa_ = workspace.template push<T*>(features()).data();
    scorers_ = workspace.template push<T*>(heads_ * embed_).data();
    du_ = workspace.template push<T*>(heads_ * embed_).data();
    if (keeps_turned()) turned_ = workspace.template push<T**>(features(), embed_).data();
    is_turned_ = false;
    context.copy(reshape<T*, Space>(kappa_, features()), reshape<T*, Space>(in_bias_->values, features()));
    linalg::gemm(context, Op::none, Op::transpose, T{1}, {query_->values, 1, embed_}, projection(in_weight_->values, 0),
                 T{1}, {kappa_, 1, features()});
    linalg::batched_gemm(context, Op::none, Op::none, scale(), {{kappa_, 1, width()}, heads_, width()},
                         by_head(key_weight()), T{0}, {{scorers_, 1, embed_}, heads_, embed_});
    context.fill(reshape<T*, Space>(du_, heads_ * embed_), T{0});
  }

  /// out = Wo z + bo in the delivered columns, after bv is added to z where it is still missing. Of a head group the
  /// first rank brings bo into the sum.
  void project(Context<Space> const& context, Tiling const& whole, bool add_value_bias, T* z, T* out) const {
    bool const brings_bias = by_heads_.group().rank() == 0;
    Tiling const tiling = joint_.delivered(whole);
    z += joint_.delivered_at(whole);
    out += joint_.delivered_at(whole);
    if (add_value_bias) kernels::spread_bias(context, tiling, features(), value_bias(), true, z);
    if (brings_bias)
      kernels::spread_bias(context, tiling, embed_, static_cast<T const*>(out_bias_->values), false, out);
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, T{1}, out_projection(out_weight_->values),
                 tile_matrix(z, features(), tiling), brings_bias ? T{1} : T{0}, tile_matrix(out, embed_, tiling));
    by_heads_.sum(context, tiling, embed_, out);
  }

  /// The gradients of `count` tokens [count, D, pitch] become the sums over the heads of all ranks.
  void sum_over_heads(Context<Space> const& context, Tiling const& tiling, Index count, T* token_gradients) const {
    if (by_heads_.alone()) return;
    Index const one = embed_ * tiling.pitch, chunk = chunk_channels<T, Space>(count, one);
    for (Index first = 0; first < count; first += chunk)
      by_heads_.sum(context, tiling, std::min(chunk, count - first) * embed_, token_gradients + first * one);
  }

  /// From the gradient of out: those of Wo, bo and bv are added, dz [E, pitch] and delta [h, pitch] written. Ranks that
  /// share the unit and have the same rows would add the same: they take turns, tile by tile.
  void pull(Context<Space> const& context, Tiling const& whole, T const* z, T const* gradient, bool delta_without_bias,
            T* dz, T* delta) {
    using linalg::Op;
    Tiling const tiling = joint_.delivered(whole);
    Index const at = joint_.delivered_at(whole);
    auto const g = tile_matrix(gradient + at, embed_, tiling);
    auto const own_dz = tile_matrix(dz + at, features(), tiling);
    bool const turn = joint_.delivers_own_rows() || tiles_pulled_++ % joint_.group().size() == joint_.group().rank();
    pull_projection(context, g, own_dz);
    if (turn) {
      linalg::gemm(context, Op::none, Op::transpose, T{1}, g, tile_matrix(z + at, features(), tiling), T{1},
                   out_projection(out_weight_->gradients));
      linalg::add_row_sums(context, g, out_bias_->gradients);
      linalg::add_row_sums(context, own_dz, in_bias_->gradients + 2 * features());
    }
    bool const own_rows = joint_.delivers_own_rows();  // ranks, whatever their order of evaluation, send one delta
    detail::head_products(context, tiling, heads_, width(), static_cast<T const*>(dz + at), z + at,
                          static_cast<T const*>(delta_without_bias || own_rows ? value_bias() : nullptr), delta + at);
    if (!own_rows) return;
    joint_.spread(context, whole, features(), dz, dz);
    joint_.spread(context, whole, heads_, delta, delta);
    if (!delta_without_bias)
      detail::add_bias_products(context, whole, heads_, width(), static_cast<T const*>(dz),
                                static_cast<T const*>(value_bias()), delta);
  }

  /// Gradients of Wk, Wq, bq and q from that of u.
  void finish(Context<Space> const& context) const {
    using linalg::Op;
    auto scope = context.workspace().scope();
    T* const dkappa = context.workspace().template push<T*>(features()).data();
    T* const du = du_;
    T const factor = scale();
    context.loop(
        "dchag::channels::scale_du", heads_ * embed_, KOKKOS_LAMBDA(Index at) { du[at] *= factor; });
    detail::add_outer(context, features(), embed_, width(), static_cast<T const*>(kappa_), static_cast<T const*>(du_),
                      key_weight_gradient().data);
    linalg::batched_gemm(context, Op::none, Op::transpose, T{1}, {{du_, 1, embed_}, heads_, embed_},
                         by_head(key_weight()), T{0}, {{dkappa, 1, width()}, heads_, width()});
    finish_query(context, dkappa);
  }

  /// Gradients of Wq, bq and q from that of kappa.
  void finish_query(Context<Space> const& context, T const* dkappa) const {
    T* const bias = in_bias_->gradients;
    context.loop(
        "dchag::channels::add_dkappa", features(), KOKKOS_LAMBDA(Index e) { bias[e] += dkappa[e]; });
    detail::add_outer(context, features(), embed_, embed_, dkappa, static_cast<T const*>(query_->values),
                      in_weight_->gradients);
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, T{1}, {dkappa, 1, features()},
                 projection(in_weight_->values, 0), T{1}, {query_->gradients, 1, embed_});
  }

 private:
  /// Whether Wo^T is turned once a batch; as a transposed left operand it would be turned for every tile.
  static bool keeps_turned() { return on_host<Space> && Pieces::of<Space>().host; }

  /// dz = Wo^T g.
  void pull_projection(Context<Space> const& context, linalg::Matrix<T const> g, linalg::Matrix<T> dz) {
    using linalg::Op;
    if constexpr (on_host<Space>)
      if (keeps_turned()) {
        if (!std::exchange(is_turned_, true)) turn_projection(context);
        return linalg::gemm(context, Op::none, Op::none, T{1}, {turned_, features(), embed_}, g, T{0}, dz);
      }
    linalg::gemm(context, Op::transpose, Op::none, T{1}, out_projection(out_weight_->values), g, T{0}, dz);
  }
  void turn_projection(Context<Space> const& context) const {
    constexpr Index lanes = lane_count<T, Space>;
    Index const embed = embed_, features = this->features();
    T const* const weight = out_weight_->values;
    T* const turned = turned_;
    context.loop(
        "dchag::channels::turn_projection", ceil_div(embed, lanes),
        [=](Index block) {
          Index const e = block * lanes;
          linalg::turn({weight + e * features, std::min(lanes, embed - e), features}, turned + e, embed);
        },
        moves<T>(2 * embed * features));
  }

  /// Wq, Wk or Wv [E, D] of in_proj_weight.
  linalg::Matrix<T> projection(T* weights, Index which) const {
    return {weights + which * features() * embed_, features(), embed_};
  }
  linalg::Matrix<T> out_projection(T* weights) const { return {weights, embed_, features()}; }  // [D, E]

  Index embed_, width_, heads_ = 0;
  Parameter<T, Space>*query_, *in_weight_, *in_bias_, *out_weight_, *out_bias_;
  Joint<T, Space> joint_, by_heads_;  // with those that have other tokens, with those that have other heads
  Index tiles_pulled_ = 0;            // of the batch
  T *kappa_ = nullptr, *scorers_ = nullptr, *du_ = nullptr;
  T* turned_ = nullptr;  // of hosts
  bool is_turned_ = false;
};

}  // namespace dchag::channels
