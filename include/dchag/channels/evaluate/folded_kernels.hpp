#pragma once

#include <dchag/channels/groups.hpp>
#include <dchag/core/context.hpp>
#include <dchag/linalg/reduce.hpp>

namespace dchag::channels {

namespace detail {

/// What kernels need of a run of Linear levels: weights and biases of each level, the coefficient of every channel in
/// its token of the level and the bias of every token, and the gradients of these.
template <class T>
struct LinearChain {
  static constexpr int max_levels = 8;
  int levels = 0;
  Groups groups[max_levels] = {};
  T *weight[max_levels] = {}, *bias[max_levels] = {};         // [tokens below], [groups]
  T *coefficient[max_levels] = {}, *offset[max_levels] = {};  // [C], [groups]
  T *dcoefficient = nullptr, *doffset[max_levels] = {};       // [C] of the level at hand, [groups]

  /// The first channel under a token that `level` levels lead to; `token` may be one past the last.
  KOKKOS_INLINE_FUNCTION Index first_channel(int level, Index token) const {
    for (int below = level - 1; below >= 0; --below) token = groups[below].begin(token);
    return token;
  }
  /// The token of that level that a channel goes into.
  KOKKOS_INLINE_FUNCTION Index token_of(int level, Index channel) const {
    for (int below = 0; below < level; ++below) channel = groups[below].of(channel);
    return channel;
  }
};

/// The channels that a rank owns: their numbers among all channels, where those of a token of the last level begin
/// among them [tokens + 1], and whether this rank adds the token's bias [tokens].
struct OwnChannels {
  Index count;
  Index const *global, *first, *leads;
};

/// Folded weights: of token after token of the last level [D, own channels of the token, P] each.
template <class T>
struct FoldedWeights {
  LinearChain<T> chain;
  OwnChannels own;
  Index embed, patch;
  T* data;

  KOKKOS_INLINE_FUNCTION Index token_of(Index c) const { return chain.token_of(chain.levels, own.global[c]); }
  KOKKOS_INLINE_FUNCTION T* at(Index c, Index e) const {
    Index const g = token_of(c), first = own.first[g], count = own.first[g + 1] - first;
    return data + (first * embed + e * count + c - first) * patch;
  }
};

template <class T, class Space>
void fold_chain(Context<Space> const& context, LinearChain<T> const& chain, Index channels) {
  context.loop(
      "dchag::channels::fold_coefficients", channels, KOKKOS_LAMBDA(Index c) {
        T product = 1;
        Index token = c;
        for (int level = 0; level < chain.levels; ++level) {
          product *= chain.weight[level][token];
          chain.coefficient[level][c] = product;
          token = chain.groups[level].of(token);
        }
      });
  for (int level = 0; level < chain.levels; ++level)
    context.loop(
        "dchag::channels::fold_offsets", chain.groups[level].groups, KOKKOS_LAMBDA(Index g) {
          T sum = chain.bias[level][g];
          Index const first = chain.groups[level].begin(g), count = chain.groups[level].size(g);
          for (Index t = first; level > 0 && t < first + count; ++t)
            sum += chain.weight[level][t] * chain.offset[level - 1][t];
          chain.offset[level][g] = sum;
        });
}

template <class T, class Space>
void fold_weights(Context<Space> const& context, FoldedWeights<T> const& folded, T const* weight, T const* beta,
                  T* folded_beta) {
  Index const embed = folded.embed, patch = folded.patch;
  OwnChannels const own = folded.own;
  LinearChain<T> const chain = folded.chain;
  int const top = chain.levels - 1;
  context.loop(
      "dchag::channels::fold_weights", own.count * embed,
      KOKKOS_LAMBDA(Index item) {
        Index const c = item / embed, e = item % embed;
        T* const to = folded.at(c, e);
        for (Index p = 0; p < patch; ++p) to[p] = chain.coefficient[top][own.global[c]] * weight[item * patch + p];
      },
      moves<T>(2 * own.count * embed * patch));
  context.loop(
      "dchag::channels::fold_beta", chain.groups[top].groups * embed,
      KOKKOS_LAMBDA(Index item) {
        Index const g = item / embed, e = item % embed;
        T sum = own.leads[g] != 0 ? chain.offset[top][g] : T{0};
        for (Index c = own.first[g]; c < own.first[g + 1]; ++c)
          sum += chain.coefficient[top][own.global[c]] * beta[c * embed + e];
        folded_beta[item] = sum;
      },
      moves<T>(own.count * embed));
}

/// From the gradients of the folded weights and the sums of the tokens' gradients, [tokens, D], or `by_channel` [own
/// channels, D]: those of W and beta are added, those of the coefficients of the last level written.
template <class T, class Space>
void unfold_weights(Context<Space> const& context, FoldedWeights<T> const& folded, T const* weight, T const* beta,
                    T const* dsum, bool by_channel, T* dweight, T* dbeta) {
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const embed = folded.embed, patch = folded.patch;
  LinearChain<T> const chain = folded.chain;
  OwnChannels const own = folded.own;
  int const top = chain.levels - 1;
  context.teams(
      "dchag::channels::unfold_weights", own.count, 32, 0,
      KOKKOS_LAMBDA(Team const& team) {
        Index const c = team.league_rank(), from_sum = (by_channel ? c : folded.token_of(c)) * embed;
        T const coefficient = chain.coefficient[top][own.global[c]];
        T total = 0;
        Kokkos::parallel_reduce(
            Kokkos::TeamVectorRange(team, embed),
            [&](Index e, T& part) {
              T const* const from = folded.at(c, e);
              Index const at = c * embed + e;
              for (Index p = 0; p < patch; ++p) {
                part += from[p] * weight[at * patch + p];
                dweight[at * patch + p] += coefficient * from[p];
              }
              part += dsum[from_sum + e] * beta[at];
              dbeta[at] += coefficient * dsum[from_sum + e];
            },
            total);
        Kokkos::single(Kokkos::PerTeam(team), [&] { chain.dcoefficient[own.global[c]] = total; });
      },
      moves<T>(4 * own.count * embed * patch));
}

/// The gradients of the offsets of the last level from the sums [tokens, D] of its tokens' gradients.
template <class T, class Space>
void unfold_offsets(Context<Space> const& context, LinearChain<T> const& chain, OwnChannels const& own, Index embed,
                    T const* dsum) {
  int const top = chain.levels - 1;
  context.fill(reshape<T*, Space>(chain.doffset[top], chain.groups[top].groups), T{0});
  linalg::add_row_sums(context, linalg::Matrix<T const>(dsum, chain.groups[top].groups, embed), chain.doffset[top]);
  context.loop(
      "dchag::channels::unfold_offsets", chain.groups[top].groups, KOKKOS_LAMBDA(Index g) {
        if (own.leads[g] == 0) chain.doffset[top][g] = 0;
      });
}

/// dweight [tokens below] of one level; the gradients of coefficients and offsets move to the level below it.
template <class T, class Space>
void unfold_level(Context<Space> const& context, LinearChain<T> const& chain, int level, Index channels, T* dweight) {
  context.loop(
      "dchag::channels::unfold_level", chain.groups[level].tokens, KOKKOS_LAMBDA(Index t) {
        T const doffset = chain.doffset[level][chain.groups[level].of(t)];
        T sum = 0;
        for (Index c = chain.first_channel(level, t); c < chain.first_channel(level, t + 1); ++c)
          sum += (level > 0 ? chain.coefficient[level - 1][c] : T{1}) * chain.dcoefficient[c];
        if (level > 0) {
          sum += chain.offset[level - 1][t] * doffset;
          chain.doffset[level - 1][t] = chain.weight[level][t] * doffset;
        }
        dweight[t] = sum;
      });
  context.loop(
      "dchag::channels::unfold_coefficients", channels,
      KOKKOS_LAMBDA(Index c) { chain.dcoefficient[c] *= chain.weight[level][chain.token_of(level, c)]; });
}

template <class T, class Space>
void add_to(Context<Space> const& context, Index count, T const* from, T* to) {
  context.loop(
      "dchag::channels::add_to", count, KOKKOS_LAMBDA(Index at) { to[at] += from[at]; }, moves<T>(3 * count));
}

}  // namespace detail

}  // namespace dchag::channels
