#pragma once

#include <dchag/channels/evaluate/folded_kernels.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/presence.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/reduce.hpp>

// Folded Linear levels where images lack channels. A unit of n tokens, n' of them present, multiplies their sum by
// n / n' (see Renormalize). With F_t[row] the product of these factors over all units above token t, zero where t is
// absent, and Omega_t the product of the weights on the way from t:
//   out[e, row] = sum over channels c of F_c omega_c (W_c x_c + beta_c)[e] + sum over units u of F_u Omega_u bias_u,
// where the last unit has F = Omega = 1. The patches are scaled by F_c once; what is left are two small products.
namespace dchag::channels {

namespace detail {

/// F of the rows of a tile. A token of height k goes into level k; those of height 0 are the channels.
template <class T>
struct RowFactors {
  LinearChain<T> chain;
  int const* present[LinearChain<T>::max_levels + 1];  // of each height [B, tokens]
  TileImages images;

  KOKKOS_INLINE_FUNCTION T operator()(int height, Index token, Index n) const {
    Index const image = images(n);
    T factor = 1;
    for (int level = height; image >= 0 && level < chain.levels; ++level) {
      Groups const& groups = chain.groups[level];
      if (present[level][image * groups.tokens + token] == 0) return T{0};
      token = groups.of(token);
      factor *= static_cast<T>(groups.size(token)) / static_cast<T>(present[level + 1][image * groups.groups + token]);
    }
    return factor;
  }
};

/// Of each height: Omega [tokens], the sums of F times the token's gradient [tokens], and their sums over all that is
/// below [tokens].
template <class T>
struct HeightSums {
  T *omega[LinearChain<T>::max_levels + 1] = {}, *sum[LinearChain<T>::max_levels + 1] = {},
                                        *below[LinearChain<T>::max_levels + 1] = {};
};

/// f[c, n] = F of the own channels.
template <class T, class Space>
void channel_factors(Context<Space> const& context, Tiling const& tiling, RowFactors<T> const& factors,
                     OwnChannels const& own, T* f) {
  Index const width = tiling.width, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::channel_factors", own.count * width, KOKKOS_LAMBDA(Index item) {
        Index const c = item / width, n = item % width;
        f[c * pitch + n] = factors(0, own.global[c], n);
      });
}

/// x[c, p, n] *= f[c, n]
template <class T, class Space>
void scale_channels(Context<Space> const& context, Tiling const& tiling, Index channels, Index patch, T const* f,
                    T* x) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const pitch = tiling.pitch;
  context.rows(
      "dchag::channels::scale_channels", channels * patch, tiling.width, lanes, KOKKOS_LAMBDA(Index row, Index n) {
        T* const place = x + row * pitch + n;
        store(place, load<L>(place) * load<L>(f + row / patch * pitch + n));
      });
}

/// out[e, n] = sum over the units u under token g of F_u Omega_u bias_u, zero on ranks that do not lead.
template <class T, class Space>
void spread_offsets(Context<Space> const& context, Tiling const& tiling, RowFactors<T> const& factors,
                    HeightSums<T> const& heights, OwnChannels const& own, Index g, Index embed, T* out) {
  Index const width = tiling.width, pitch = tiling.pitch;
  LinearChain<T> const chain = factors.chain;
  context.loop(
      "dchag::channels::spread_offsets", width, KOKKOS_LAMBDA(Index n) {
        T offset = 0;
        Index first = g, end = g + 1;
        for (int height = chain.levels; own.leads[g] != 0 && height > 0; --height) {
          for (Index t = first; t < end; ++t)
            offset += factors(height, t, n) * heights.omega[height][t] * chain.bias[height - 1][t];
          first = chain.groups[height - 1].begin(first);
          end = chain.groups[height - 1].begin(end);
        }
        for (Index e = 0; e < embed; ++e) out[e * pitch + n] = offset;
      });
}

/// sum[t] += sum over rows of F_t times the features' sum [width] of the gradient, for the units t under token g.
template <class T, class Space>
void pull_offsets(Context<Space> const& context, Tiling const& tiling, RowFactors<T> const& factors,
                  HeightSums<T> const& heights, Index g, T const* feature_sum) {
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const width = tiling.width;
  Index first = g, end = g + 1;
  for (int height = factors.chain.levels; height > 0; --height) {
    T* const sum = heights.sum[height];
    context.teams(
        "dchag::channels::pull_offsets", end - first, 32, 0, KOKKOS_LAMBDA(Team const& team) {
          Index const t = first + team.league_rank();
          T total = 0;
          Kokkos::parallel_reduce(
              Kokkos::TeamVectorRange(team, width),
              [&](Index n, T& part) { part += factors(height, t, n) * feature_sum[n]; }, total);
          Kokkos::single(Kokkos::PerTeam(team), [&] { sum[t] += total; });
        });
    first = factors.chain.groups[height - 1].begin(first);
    end = factors.chain.groups[height - 1].begin(end);
  }
}

/// omega_beta[c, e] = omega_c beta_c[e] of the own channels, and Omega of every height.
template <class T, class Space>
void fold_heights(Context<Space> const& context, FoldedWeights<T> const& folded, HeightSums<T> const& heights,
                  T const* beta, T* omega_beta) {
  Index const embed = folded.embed;
  LinearChain<T> const chain = folded.chain;
  OwnChannels const own = folded.own;
  int const top = chain.levels - 1;
  context.loop(
      "dchag::channels::omega_beta", own.count * embed,
      KOKKOS_LAMBDA(Index item) { omega_beta[item] = chain.coefficient[top][own.global[item / embed]] * beta[item]; });
  context.fill(reshape<T*, Space>(heights.omega[chain.levels], chain.groups[top].groups), T{1});
  for (int height = top; height >= 0; --height)
    context.loop(
        "dchag::channels::omega", chain.groups[height].tokens, KOKKOS_LAMBDA(Index t) {
          heights.omega[height][t] = chain.weight[height][t] * heights.omega[height + 1][chain.groups[height].of(t)];
        });
}

/// The gradients of the weights [tokens] of a level and of the biases [groups] of its units; the sums below them move
/// one level up.
template <class T, class Space>
void unfold_height(Context<Space> const& context, LinearChain<T> const& chain, HeightSums<T> const& heights, int level,
                   T* dweight, T* dbias) {
  Groups const groups = chain.groups[level];
  context.loop(
      "dchag::channels::unfold_height", groups.groups, KOKKOS_LAMBDA(Index g) {
        T const omega = heights.omega[level + 1][g], sum = heights.sum[level + 1][g];
        T total = chain.bias[level][g] * sum;
        for (Index t = groups.begin(g); t < groups.begin(g + 1); ++t) {
          dweight[t] = omega * heights.below[level][t];
          total += chain.weight[level][t] * heights.below[level][t];
        }
        heights.below[level + 1][g] = total;
        dbias[g] = omega * sum;
      });
}

}  // namespace detail

/// The parts of FoldedLinear that are other ones where images lack channels.
template <class T, class Space>
class FoldedPresence {
 public:
  /// Of the folded weights at hand: pushes on the workspace what lasts until the batch is done.
  void prepare(Context<Space> const& context, detail::FoldedWeights<T> const& folded,
               Tokenizer<T, Space> const& tokenizer) {
    auto& workspace = context.workspace();
    chain_ = folded.chain;
    own_ = folded.own;
    embed_ = folded.embed;
    omega_beta_ = workspace.template push<T*>(own_.count * embed_).data();
    domega_beta_ = workspace.template push<T*>(own_.count * embed_).data();
    context.fill(reshape<T*, Space>(domega_beta_, own_.count * embed_), T{0});
    for (int height = 0; height <= chain_.levels; ++height) {
      Index const tokens = height == 0 ? chain_.groups[0].tokens : chain_.groups[height - 1].groups;
      heights_.omega[height] = workspace.template push<T*>(tokens).data();
      heights_.sum[height] = workspace.template push<T*>(tokens).data();
      heights_.below[height] = height == 0 ? chain_.dcoefficient : workspace.template push<T*>(tokens).data();
      context.fill(reshape<T*, Space>(heights_.sum[height], tokens), T{0});
    }
    detail::fold_heights(context, folded, heights_, static_cast<T const*>(tokenizer.beta(0)), omega_beta_);
  }

  /// F of the own channels [own channels, pitch] in a tile, pushed on the workspace.
  T const* factors(Context<Space> const& context, Tiling const& tiling, Presence<T, Space> const& presence,
                   Index tile) {
    T* const f = context.workspace().template push<T**>(own_.count, tiling.pitch).data();
    detail::channel_factors(context, tiling, rows(tiling, presence, tile), own_, f);
    return f;
  }

  /// What stands in token g for bias and betas: out [D, pitch], f of its `count` channels from `first`.
  void forward(Context<Space> const& context, Tiling const& tiling, Presence<T, Space> const& presence, Index tile,
               Index g, Index first, Index count, T const* f, T* out) const {
    detail::spread_offsets(context, tiling, rows(tiling, presence, tile), heights_, own_, g, embed_, out);
    linalg::gemm(context, linalg::Op::transpose, linalg::Op::none, T{1}, {omega_beta_ + first * embed_, count, embed_},
                 tile_matrix(f + first * tiling.pitch, count, tiling), T{1}, tile_matrix(out, embed_, tiling));
  }

  void backward(Context<Space> const& context, Tiling const& tiling, Presence<T, Space> const& presence, Index tile,
                Index g, Index first, Index count, bool leads, T const* f, T const* gradient) const {
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1},
                 tile_matrix(f + first * tiling.pitch, count, tiling), tile_matrix(gradient, embed_, tiling), T{1},
                 {domega_beta_ + first * embed_, count, embed_});
    if (!leads) return;
    auto scope = context.workspace().scope();
    T* const feature_sum = context.workspace().template push<T*>(tiling.width).data();
    context.fill(reshape<T*, Space>(feature_sum, tiling.width), T{0});
    linalg::add_column_sums(context, tile_matrix(gradient, embed_, tiling), feature_sum);
    detail::pull_offsets(context, tiling, rows(tiling, presence, tile), heights_, g,
                         static_cast<T const*>(feature_sum));
  }

  T* domega_beta() const { return domega_beta_; }  // [own channels, D]

  void unfold(Context<Space> const& context, int level, T* dweight, T* dbias) const {
    detail::unfold_height(context, chain_, heights_, level, dweight, dbias);
  }

 private:
  detail::RowFactors<T> rows(Tiling const& tiling, Presence<T, Space> const& presence, Index tile) const {
    detail::RowFactors<T> factors{chain_, {}, presence.images_of(tiling, tile)};
    for (int height = 0; height <= chain_.levels; ++height)
      factors.present[height] = presence.tokens(static_cast<std::size_t>(height));
    return factors;
  }

  detail::LinearChain<T> chain_;
  detail::OwnChannels own_{};
  Index embed_ = 0;
  detail::HeightSums<T> heights_;
  T *omega_beta_ = nullptr, *domega_beta_ = nullptr;
};

}  // namespace dchag::channels
