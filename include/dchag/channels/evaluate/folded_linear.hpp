#pragma once

#include <dchag/channels/device_list.hpp>
#include <dchag/channels/evaluate/folded_kernels.hpp>
#include <dchag/channels/evaluate/folded_presence.hpp>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/units/linear.hpp>
#include <vector>

namespace dchag::channels {

/// The Linear levels that a tree begins with, evaluated as one matrix product a group of the last of them: with omega_c
/// the product of the weights on the way of channel c, token g = sum_c omega_c W_c x_c + (sum_c omega_c beta_c + bias),
/// whose inner size is the group's channels times P. Nothing is kept.
///
/// A rank that owns some of the channels answers its part of the sums; one of the ranks adds the biases. Where images
/// lack channels, see folded_presence.hpp.
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

  /// `presence` says what the images of the batch to come lack; null or given nothing: nothing.
  void prepare(Context<Space> const& context, Presence<T, Space> const* presence = nullptr) {
    presence_ = presence != nullptr && presence->given() ? presence : nullptr;
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
    if (presence_ != nullptr) partial_.prepare(context, folded(folded_), *tokenizer_);
  }

  /// Of the rows of a tile the factors [own channels, pitch] of each channel, pushed on the workspace; null where
  /// nothing is absent.
  T const* factors(Context<Space> const& context, Tiling const& tiling, Index tile) {
    return presence_ == nullptr ? nullptr : partial_.factors(context, tiling, *presence_, tile);
  }
  /// Scales patches by them: those that forward and backward take.
  void scale(Context<Space> const& context, Tiling const& tiling, T const* factors, T* x) const {
    if (factors != nullptr)
      detail::scale_channels(context, tiling, tokenizer_->channels(), tokenizer_->patch(), factors, x);
  }

  /// Own patches x [own channels, P, pitch] of a tile to token g, out [D, pitch].
  void forward(Context<Space> const& context, Tiling const& tiling, Index tile, T const* factors, T const* x, Index g,
               T* out) const {
    Index const embed = tokenizer_->embed();
    if (factors != nullptr)
      partial_.forward(context, tiling, *presence_, tile, g, first_of(g), own_of(g), factors, out);
    else
      kernels::spread_bias(context, tiling, embed, static_cast<T const*>(folded_beta_ + g * embed), false, out);
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, T{1}, folded_of(folded_, g), patches_of(tiling, x, g),
                 T{1}, tile_matrix(out, embed, tiling));
  }

  void backward(Context<Space> const& context, Tiling const& tiling, Index tile, T const* factors, T const* x, Index g,
                T const* gradient) const {
    Index const embed = tokenizer_->embed();
    auto const slope = tile_matrix(gradient, embed, tiling);
    if (factors != nullptr)
      partial_.backward(context, tiling, *presence_, tile, g, first_of(g), own_of(g), leads(g), factors, gradient);
    else
      linalg::add_row_sums(context, slope, dsum_ + g * embed);
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, slope, patches_of(tiling, x, g), T{1},
                 folded_of(dfolded_, g));
  }

  void finish(Context<Space> const& context) const {
    auto scope = context.workspace().scope();
    T* const dweight = context.workspace().template push<T*>(channels_).data();
    if (presence_ != nullptr) return finish_partial(context, dweight);
    unfold(context, dsum_, false);
    detail::unfold_offsets(context, chain_, own(), tokenizer_->embed(), static_cast<T const*>(dsum_));
    for (int level = chain_.levels - 1; level >= 0; --level) {
      detail::unfold_level(context, chain_, level, channels_, dweight);
      add_gradients(context, level, dweight, chain_.doffset[level]);
    }
  }

 private:
  void finish_partial(Context<Space> const& context, T* dweight) const {
    unfold(context, partial_.domega_beta(), true);
    for (int level = 0; level < chain_.levels; ++level) {
      partial_.unfold(context, level, dweight, chain_.doffset[level]);
      add_gradients(context, level, dweight, chain_.doffset[level]);
    }
  }
  void unfold(Context<Space> const& context, T const* sums, bool by_channel) const {
    detail::unfold_weights(context, folded(dfolded_), static_cast<T const*>(tokenizer_->weight(0)),
                           static_cast<T const*>(tokenizer_->beta(0)), sums, by_channel, tokenizer_->weight_gradient(0),
                           tokenizer_->beta_gradient(0));
  }
  /// dweight [tokens] and dbias [groups] of a level go to its units.
  void add_gradients(Context<Space> const& context, int level, T const* dweight, T const* dbias) const {
    Groups const groups = chain_.groups[level];
    for (Index g = 0; g < groups.groups; ++g) {
      auto const& unit = *units_[static_cast<std::size_t>(level)][static_cast<std::size_t>(g)];
      detail::add_to(context, groups.size(g), dweight + groups.begin(g), unit.weight().gradients);
      detail::add_to(context, 1, dbias + g, unit.bias().gradients);
    }
  }

  void find_own(std::vector<int> const& owners, int rank) {
    std::vector<Index> global, leads;
    for (Index g = 0; g < tokens(); ++g) {
      Index const begin = first_channel(g), end = first_channel(g + 1);
      first_.push_back(static_cast<Index>(global.size()));
      leads.push_back(owners[static_cast<std::size_t>(begin)] == rank ? 1 : 0);
      leads_.push_back(leads.back() != 0);
      for (Index c = begin; c < end; ++c)
        if (owners[static_cast<std::size_t>(c)] == rank) global.push_back(c);
    }
    first_.push_back(static_cast<Index>(global.size()));
    global_list_ = device_list<Space>("dchag::channels::own", global);
    first_list_ = device_list<Space>("dchag::channels::first", first_);
    leads_list_ = device_list<Space>("dchag::channels::leads", leads);
  }

  detail::OwnChannels own() const {
    return {tokenizer_->channels(), global_list_.data(), first_list_.data(), leads_list_.data()};
  }
  detail::FoldedWeights<T> folded(T* data) const {
    return {chain_, own(), tokenizer_->embed(), tokenizer_->patch(), data};
  }
  bool leads(Index g) const { return leads_[static_cast<std::size_t>(g)]; }
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
  std::vector<bool> leads_;   // whether this rank adds a token's biases
  DeviceList<Space> global_list_, first_list_, leads_list_;
  detail::LinearChain<T> chain_;
  Presence<T, Space> const* presence_ = nullptr;
  FoldedPresence<T, Space> partial_;
  T *folded_ = nullptr, *folded_beta_ = nullptr, *dfolded_ = nullptr, *dsum_ = nullptr;
};

}  // namespace dchag::channels
