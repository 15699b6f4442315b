#pragma once

#include <dchag/channels/device_list.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/units/linear.hpp>
#include <vector>

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
      "dchag::channels::fold_weights", own.count * embed, KOKKOS_LAMBDA(Index item) {
        Index const c = item / embed, e = item % embed;
        T* const to = folded.at(c, e);
        for (Index p = 0; p < patch; ++p) to[p] = chain.coefficient[top][own.global[c]] * weight[item * patch + p];
      });
  context.loop(
      "dchag::channels::fold_beta", chain.groups[top].groups * embed, KOKKOS_LAMBDA(Index item) {
        Index const g = item / embed, e = item % embed;
        T sum = own.leads[g] != 0 ? chain.offset[top][g] : T{0};
        for (Index c = own.first[g]; c < own.first[g + 1]; ++c)
          sum += chain.coefficient[top][own.global[c]] * beta[c * embed + e];
        folded_beta[item] = sum;
      });
}

/// From the gradients of the folded weights and the sums [tokens, D] of the tokens' gradients: those of W and beta are
/// added, those of the coefficients and offsets of the last level written.
template <class T, class Space>
void unfold_weights(Context<Space> const& context, FoldedWeights<T> const& folded, T const* weight, T const* beta,
                    T const* dsum, T* dweight, T* dbeta) {
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const embed = folded.embed, patch = folded.patch;
  LinearChain<T> const chain = folded.chain;
  OwnChannels const own = folded.own;
  int const top = chain.levels - 1;
  context.teams(
      "dchag::channels::unfold_weights", own.count, 32, 0, KOKKOS_LAMBDA(Team const& team) {
        Index const c = team.league_rank(), g = folded.token_of(c);
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
              part += dsum[g * embed + e] * beta[at];
              dbeta[at] += coefficient * dsum[g * embed + e];
            },
            total);
        Kokkos::single(Kokkos::PerTeam(team), [&] { chain.dcoefficient[own.global[c]] = total; });
      });
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
      "dchag::channels::add_to", count, KOKKOS_LAMBDA(Index at) { to[at] += from[at]; });
}

}  // namespace detail

/// The Linear levels that a tree begins with, evaluated as one matrix product a group of the last of them: with omega_c
/// the product of the weights on the way of channel c, token g = sum_c omega_c W_c x_c + (sum_c omega_c beta_c + bias),
/// whose inner size is the group's channels times P. Nothing is kept.
///
/// A rank that owns some of the channels answers its part of the sums; one of the ranks adds the biases.
template <class T, class Space>
class FoldedLinear {
 public:
  /// units[l][g] are the units of level l; they stay where they are. `owners` says for each channel which rank of the
  /// replica owns it.
  FoldedLinear(std::vector<std::vector<LinearUnit<T, Space>*>> units, Tokenizer<T, Space>& tokenizer,
               std::vector<int> const& owners, int rank = 0)
      : units_(std::move(units)), tokenizer_(&tokenizer), channels_(static_cast<Index>(owners.size())) {
    require(units_.size() <= detail::LinearChain<T>::max_levels, "Tree: ", units_.size(),
            " Linear levels in a row, of which one does the same: use at most ", detail::LinearChain<T>::max_levels);
    Index tokens = channels_;
    for (std::size_t level = 0; level < units_.size(); ++level) {
      chain_.groups[level] = {tokens, static_cast<Index>(units_[level].size())};
      tokens = chain_.groups[level].groups;
    }
    chain_.levels = static_cast<int>(units_.size());
    find_own(owners, rank);
  }

  Index tokens() const { return chain_.groups[chain_.levels - 1].groups; }

  /// The first channel of a token of the last level; of the number of tokens, the number of channels.
  Index first_channel(Index token) const { return chain_.first_channel(chain_.levels, token); }

  void prepare(Context<Space> const& context) {
    auto& workspace = context.workspace();
    Index const embed = tokenizer_->embed(), size = tokenizer_->channels() * tokenizer_->patch() * embed;
    for (int level = 0; level < chain_.levels; ++level) {
      auto const& groups = chain_.groups[level];
      chain_.weight[level] = workspace.template push<T*>(groups.tokens).data();
      chain_.bias[level] = workspace.template push<T*>(groups.groups).data();
      chain_.coefficient[level] = workspace.template push<T*>(channels_).data();
      chain_.offset[level] = workspace.template push<T*>(groups.groups).data();
      chain_.doffset[level] = workspace.template push<T*>(groups.groups).data();
      for (Index g = 0; g < groups.groups; ++g) {
        auto const& unit = *units_[static_cast<std::size_t>(level)][static_cast<std::size_t>(g)];
        context.copy(reshape<T*, Space>(chain_.weight[level] + groups.begin(g), groups.size(g)),
                     unit.weight().template value<T*>(groups.size(g)));
        context.copy(reshape<T*, Space>(chain_.bias[level] + g, 1), unit.bias().template value<T*>(1));
      }
    }
    chain_.dcoefficient = workspace.template push<T*>(channels_).data();
    folded_ = workspace.template push<T*>(size).data();
    folded_beta_ = workspace.template push<T**>(tokens(), embed).data();
    dfolded_ = workspace.template push<T*>(size).data();
    dsum_ = workspace.template push<T**>(tokens(), embed).data();
    context.fill(reshape<T*, Space>(chain_.dcoefficient, channels_), T{0});
    context.fill(reshape<T*, Space>(dfolded_, size), T{0});
    context.fill(reshape<T*, Space>(dsum_, tokens() * embed), T{0});
    detail::fold_chain(context, chain_, channels_);
    detail::fold_weights(context, folded(folded_), static_cast<T const*>(tokenizer_->weight(0)),
                         static_cast<T const*>(tokenizer_->beta(0)), folded_beta_);
  }

  /// Own patches x [own channels, P, pitch] to token g, out [D, pitch].
  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, Index g, T* out) const {
    Index const embed = tokenizer_->embed();
    kernels::spread_bias(context, tiling, embed, static_cast<T const*>(folded_beta_ + g * embed), false, out);
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, T{1}, folded_of(folded_, g), patches_of(tiling, x, g),
                 T{1}, tile_matrix(out, embed, tiling));
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, Index g, T const* gradient) const {
    Index const embed = tokenizer_->embed();
    auto const slope = tile_matrix(gradient, embed, tiling);
    linalg::add_row_sums(context, slope, dsum_ + g * embed);
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, slope, patches_of(tiling, x, g), T{1},
                 folded_of(dfolded_, g));
  }

  void finish(Context<Space> const& context) const {
    auto scope = context.workspace().scope();
    T* const dweight = context.workspace().template push<T*>(channels_).data();
    detail::unfold_weights(context, folded(dfolded_), static_cast<T const*>(tokenizer_->weight(0)),
                           static_cast<T const*>(tokenizer_->beta(0)), static_cast<T const*>(dsum_),
                           tokenizer_->weight_gradient(0), tokenizer_->beta_gradient(0));
    for (int level = chain_.levels - 1; level >= 0; --level) {
      detail::unfold_level(context, chain_, level, channels_, dweight);
      Groups const groups = chain_.groups[level];
      for (Index g = 0; g < groups.groups; ++g) {
        auto const& unit = *units_[static_cast<std::size_t>(level)][static_cast<std::size_t>(g)];
        detail::add_to(context, groups.size(g), static_cast<T const*>(dweight + groups.begin(g)),
                       unit.weight().gradients);
        detail::add_to(context, 1, static_cast<T const*>(chain_.doffset[level] + g), unit.bias().gradients);
      }
    }
  }

 private:
  void find_own(std::vector<int> const& owners, int rank) {
    std::vector<Index> global, leads;
    for (Index g = 0; g < tokens(); ++g) {
      Index const begin = first_channel(g), end = first_channel(g + 1);
      first_.push_back(static_cast<Index>(global.size()));
      leads.push_back(owners[static_cast<std::size_t>(begin)] == rank ? 1 : 0);
      for (Index c = begin; c < end; ++c)
        if (owners[static_cast<std::size_t>(c)] == rank) global.push_back(c);
    }
    first_.push_back(static_cast<Index>(global.size()));
    global_list_ = device_list<Space>("dchag::channels::own", global);
    first_list_ = device_list<Space>("dchag::channels::first", first_);
    leads_list_ = device_list<Space>("dchag::channels::leads", leads);
  }

  detail::FoldedWeights<T> folded(T* data) const {
    detail::OwnChannels const own{tokenizer_->channels(), global_list_.data(), first_list_.data(), leads_list_.data()};
    return {chain_, own, tokenizer_->embed(), tokenizer_->patch(), data};
  }
  Index first_of(Index g) const { return first_[static_cast<std::size_t>(g)]; }
  Index own_of(Index g) const { return first_of(g + 1) - first_of(g); }

  /// The folded weights of a token, or their gradients, [D, own channels P].
  linalg::Matrix<T> folded_of(T* data, Index g) const {
    Index const patch = tokenizer_->patch(), embed = tokenizer_->embed();
    return {data + first_of(g) * patch * embed, embed, own_of(g) * patch};
  }
  linalg::Matrix<T const> patches_of(Tiling const& tiling, T const* x, Index g) const {
    Index const patch = tokenizer_->patch();
    return tile_matrix(x + first_of(g) * patch * tiling.pitch, own_of(g) * patch, tiling);
  }

  std::vector<std::vector<LinearUnit<T, Space>*>> units_;
  Tokenizer<T, Space>* tokenizer_;
  Index channels_;            // of the image
  std::vector<Index> first_;  // of each token among the own channels
  DeviceList<Space> global_list_, first_list_, leads_list_;
  detail::LinearChain<T> chain_;
  T *folded_ = nullptr, *folded_beta_ = nullptr, *dfolded_ = nullptr, *dsum_ = nullptr;
};

}  // namespace dchag::channels
