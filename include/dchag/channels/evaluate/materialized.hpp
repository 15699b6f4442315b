#pragma once

#include <dchag/channels/evaluate/patch_scores.hpp>
#include <dchag/channels/term_sum.hpp>
#include <dchag/core/team_sum.hpp>

namespace dchag::channels {

namespace detail {

/// t[c, e, n] += bias[e]
template <class T, class Space>
void add_token_bias(Context<Space> const& context, Tiling const& tiling, Index channels, Index embed, T const* bias,
                    T* t) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::add_token_bias", channels * embed, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        T* const place = t + row * pitch + n;
        store(place, load<L>(place) + broadcast<L>(bias[row % embed]));
      },
      moves<T>(2 * channels * embed * tiling.width));
}

/// out[c, i, n] = factor * sum over the features e of head i of m[c, e, n] v[e, n]; v [D] alone where v_pitch is 0.
template <class T, class Space>
void head_dots(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index width,
               T const* m, T const* v, Index v_pitch, T factor, T* out) {
  using L = Lanes<T, lane_count<T, Space>>;
  Index const pitch = tiling.pitch;
  sum_terms(
      context, "dchag::channels::head_dots", tiling, width, channels * heads, static_cast<T const*>(nullptr),
      KOKKOS_LAMBDA(Index e, Index row, Index n) {
        Index const feature = row % heads * width + e;
        L const value = v_pitch == 0 ? broadcast<L>(v[feature]) : load<L>(v + feature * v_pitch + n);
        return load<L>(m + (row * width + e) * pitch + n) * value * factor;
      },
      out, moves<T>(channels * heads * (width + 1) * tiling.width));
}

/// z[e, n] = sum_c a[c, i(e), n] v[c, e, n]
template <class T, class Space>
void weigh_values(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index width,
                  T const* a, T const* v, T* z) {
  using L = Lanes<T, lane_count<T, Space>>;
  Index const pitch = tiling.pitch, embed = heads * width;
  sum_terms(
      context, "dchag::channels::weigh_values", tiling, channels, embed, static_cast<T const*>(nullptr),
      KOKKOS_LAMBDA(Index c, Index e, Index n) {
        return load<L>(a + (c * heads + e / width) * pitch + n) * load<L>(v + (c * embed + e) * pitch + n);
      },
      z, moves<T>(channels * heads * (width + 1) * tiling.width));
}

/// m[c, e, n] = w[c, i(e), n] v[e, n] factor; v [D] alone where v_pitch is 0.
template <class T, class Space>
void scale_heads(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index width,
                 T const* w, T const* v, Index v_pitch, T factor, T* m) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch, embed = heads * width;
  context.rows(
      "dchag::channels::scale_heads", channels * embed, tiling.width, lanes,
      KOKKOS_LAMBDA(Index row, Index n) {
        Index const c = row / embed, e = row % embed;
        L const value = v_pitch == 0 ? broadcast<L>(v[e]) : load<L>(v + e * v_pitch + n);
        store(m + row * pitch + n, load<L>(w + (c * heads + e / width) * pitch + n) * value * factor);
      },
      moves<T>(channels * heads * (width + 1) * tiling.width));
}

/// total[e] += factor * sum over c and n of w[c, i(e), n] k[c, e, n]
template <class T, class Space>
void add_weighted_keys(Context<Space> const& context, Tiling const& tiling, Index channels, Index heads, Index width,
                       T const* w, T const* k, T factor, T* total) {
  using L = Lanes<T, lane_count<T, Space>>;
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const columns = tiling.width, pitch = tiling.pitch, embed = heads * width;
  context.teams(
      "dchag::channels::add_weighted_keys", embed, 32, 0,
      KOKKOS_LAMBDA(Team const& team) {
        Index const e = team.league_rank(), i = e / width;
        T const sum = team_sum<T, Space>(team, channels, columns, [&](Index c, Index n) {
          return load<L>(w + (c * heads + i) * pitch + n) * load<L>(k + (c * embed + e) * pitch + n);
        });
        Kokkos::single(Kokkos::PerTeam(team), [&] { total[e] += factor * sum; });
      },
      moves<T>(channels * heads * (width + 1) * tiling.width));
}

}  // namespace detail

/// Cross-attention over channels as published: every token, key and value is formed and kept, c (D + 2 E + h) + E
/// numbers a row. E is D, or where ranks divide the heads the features of this rank's; the tokens are then formed on
/// each of them, and their gradients summed over them.
template <class T, class Space>
class MaterializedLeaf {
 public:
  MaterializedLeaf(QueryAttention<T, Space>& attention, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : attention_(&attention), tokenizer_(&tokenizer), group_(group) {}

  Index kept_per_row() const {
    Index const features = attention_->features();
    return group_.count * (attention_->embed() + 2 * features + attention_->heads()) + features;
  }

  void prepare(Context<Space> const& context) {
    dkappa_ = context.workspace().template push<T*>(attention_->features()).data();
    context.fill(reshape<T*, Space>(dkappa_, attention_->features()), T{0});
  }
  void finish(Context<Space> const& context) const { attention_->finish_query(context, dkappa_); }

  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, T* kept, T* out,
               PresentTokens<T> const& present) const {
    Index const c = group_.count, heads = attention_->heads(), width = attention_->width();
    auto const [t, k, v, a, z] = parts(tiling, kept);
    tokenizer_->project(context, tiling, group_.first, c, x, t);
    tokenizer_->add_beta(context, tiling, group_.first, c, t);
    project(context, tiling, attention_->key_weight(), attention_->key_bias(), t, k);
    project(context, tiling, attention_->value_weight(), attention_->value_bias(), t, v);
    detail::head_dots(context, tiling, c, heads, width, static_cast<T const*>(k),
                      static_cast<T const*>(attention_->query_values()), 0, attention_->scale(), a);
    auto scope = context.workspace().scope();
    T* const max = context.workspace().template push<T**>(heads, tiling.pitch).data();
    T* const normalizer = context.workspace().template push<T**>(heads, tiling.pitch).data();
    kernels::softmax_of_present(context, tiling, c, heads, present, a, max, normalizer);
    detail::weigh_values(context, tiling, c, heads, width, static_cast<T const*>(a), static_cast<T const*>(v), z);
    T const* const share = attention_->join(context, tiling, true, max, normalizer, z);
    if (share != nullptr) detail::scale_by_share(context, tiling, c, heads, 1, share, a);
    attention_->project(context, tiling, false, z, out);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const&) const {
    using linalg::Op;
    Index const c = group_.count, heads = attention_->heads(), embed = attention_->embed(), width = attention_->width();
    Index const pitch = tiling.pitch, features = attention_->features();
    auto const [t, k, v, a, z] = parts(tiling, kept);
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    T* const dz = workspace.template push<T**>(features, pitch).data();
    T* const delta = workspace.template push<T**>(heads, pitch).data();
    T* const ds = workspace.template push<T***>(c, heads, pitch).data();
    T* const dkv = workspace.template push<T***>(c, features, pitch).data();
    T* const dt = workspace.template push<T***>(c, embed, pitch).data();
    attention_->pull(context, tiling, z, gradient, false, dz, delta);
    auto const tokens = tokenizer_->tokens(tiling, dt, c);
    linalg::Batch<T const> const dkv_batch(tile_matrix(static_cast<T const*>(dkv), features, tiling), c,
                                           features * pitch);
    linalg::Batch<T const> const t_batch(tile_matrix(t, embed, tiling), c, embed * pitch);

    detail::head_dots(context, tiling, c, heads, width, v, static_cast<T const*>(dz), pitch, T{1}, ds);
    kernels::SoftmaxGradient<T, Space> const slopes{heads, pitch, a, delta, ds};
    context.rows("dchag::channels::softmax_gradient", c * heads, tiling.width, slopes.lanes, slopes,
                 moves<T>(3 * c * heads * tiling.width));
    detail::scale_heads(context, tiling, c, heads, width, a, static_cast<T const*>(dz), pitch, T{1}, dkv);  // dV
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, {attention_->value_weight(), c, 0}, dkv_batch, T{0},
                         tokens);
    linalg::summed_gemm(context, Op::none, Op::transpose, T{1}, dkv_batch, t_batch, T{1},
                        attention_->value_weight_gradient());

    detail::add_weighted_keys(context, tiling, c, heads, width, static_cast<T const*>(ds), k, attention_->scale(),
                              dkappa_);
    detail::scale_heads(context, tiling, c, heads, width, static_cast<T const*>(ds),
                        static_cast<T const*>(attention_->query_values()), 0, attention_->scale(), dkv);  // dK
    linalg::batched_gemm(context, Op::transpose, Op::none, T{1}, {attention_->key_weight(), c, 0}, dkv_batch, T{1},
                         tokens);
    linalg::summed_gemm(context, Op::none, Op::transpose, T{1}, dkv_batch, t_batch, T{1},
                        attention_->key_weight_gradient());
    for (Index channel = 0; channel < c; ++channel)
      linalg::add_row_sums(context,
                           tile_matrix(static_cast<T const*>(dkv) + channel * features * pitch, features, tiling),
                           attention_->key_bias_gradient());
    attention_->sum_over_heads(context, tiling, c, dt);
    tokenizer_->pull(context, tiling, group_.first, c, x, dt);
  }

 private:
  template <class P>
  struct Parts {
    P *tokens, *keys, *values, *weights, *z;  // [c, D, pitch], [c, E, pitch] twice, [c, h, pitch], [E, pitch]
  };
  template <class P>
  Parts<P> parts(Tiling const& tiling, P* kept) const {
    Index const one = group_.count * tiling.pitch;
    P *const keys = kept + one * attention_->embed(), *const values = keys + one * attention_->features();
    P* const weights = values + one * attention_->features();
    return {kept, keys, values, weights, weights + one * attention_->heads()};
  }

  void project(Context<Space> const& context, Tiling const& tiling, linalg::Matrix<T> weight, T const* bias, T* t,
               T* out) const {
    Index const c = group_.count, features = attention_->features();
    linalg::batched_gemm(context, linalg::Op::none, linalg::Op::none, T{1}, {weight, c, 0},
                         tokenizer_->tokens(tiling, t, c), T{0},
                         {tile_matrix(out, features, tiling), c, features * tiling.pitch});
    detail::add_token_bias(context, tiling, c, features, bias, out);
  }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
  T* dkappa_ = nullptr;
};

}  // namespace dchag::channels
