#pragma once

#include <algorithm>
#include <array>
#include <dchag/channels/evaluate/block_kernels.hpp>
#include <dchag/channels/evaluate/patch_scores.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/linalg/thread_gemm.hpp>

namespace dchag::channels {

/// The passes of TokenSpace over the tokens, where a host's threads multiply each by itself: a thread forms the tokens
/// of a few channels, some of their features at a time, and is done with them before they leave its cache. Weights come
/// from memory and are fetched while the features before them are worked on.
template <class T, class Space>
class TokenBlocks {
 public:
  TokenBlocks(QueryAttention<T, Space>& attention, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : attention_(&attention), tokenizer_(&tokenizer), group_(group) {}

  /// sums[e, i, n] = sum_c a[c, i, n] (t[c, e, n] + beta[c, e]) from patches x [c, P, pitch]. A thread takes all
  /// channels of some features and, where there are more threads, columns.
  void sum(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T* sums) const {
    Index const parts = context.space().concurrency(), embed = attention_->embed();
    Index const feature_parts = std::min(parts, ceil_div(embed, fewest_features)), column_parts = parts / feature_parts;
    Index const columns = round_up(ceil_div(tiling.width, column_parts), Index{lane_count<T, Space>});
    Index const tokens = few_channels * block_features * tiling.pitch, each = tokens + patch_numbers(tiling, 1);
    auto scope = context.workspace().scope();
    T* const all = context.workspace().template push<T**>(parts, each).data();
    linalg::tell_products<T>(context, group_.count, embed, tokenizer_->patch(), tiling.width);
    TokenBlocks const self = *this;
    Space const space = context.space();
    context.loop(
        "dchag::channels::sum_tokens", parts,
        [=](Index part) {
          Index const first = part / feature_parts * columns;
          Tiling own = tiling;
          own.width = std::clamp<Index>(tiling.width - first, 0, columns);
          if (part >= feature_parts * column_parts || own.width == 0) return;
          T* const t = all + part * each;
          self.sum_part(space, own, Features::part(embed, part % feature_parts, feature_parts), x + first, a + first, t,
                        t + tokens, sums + first);
        },
        cost(tiling, 1));
  }

  /// From y [D, h, pitch]: ds[c, i, n], and the tokens' part of the gradients of W and beta. The scores' part goes
  /// through the patches, dr += ds x^T, or where there is no dr through the tokens too, and to u. Threads take all
  /// features of a few channels at a time; of as many as there are for each where they sum du, whose terms are added in
  /// the same order then whoever takes them.
  void pull(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T const* delta, T const* y,
            T* dr, T* ds) const {
    bool const through_tokens = dr == nullptr;
    Index const parts = context.space().concurrency(), embed = attention_->embed(), heads = attention_->heads();
    Index const features = through_tokens ? embed : std::min(embed, block_features);
    Index const tokens = few_channels * features * tiling.pitch, each = 2 * tokens + patch_numbers(tiling, 2);
    auto scope = context.workspace().scope();
    T* const all = context.workspace().template push<T**>(parts, each).data();
    T* const du = through_tokens ? context.workspace().template push<T***>(parts, embed, heads).data() : nullptr;
    linalg::tell_products<T>(context, group_.count, embed, tokenizer_->patch(), tiling.width);
    linalg::tell_products<T>(context, group_.count, embed, tiling.width, tokenizer_->patch());
    if (through_tokens)
      linalg::tell_products<T>(context, 2 * group_.count, embed, heads, tiling.width);
    else
      linalg::tell_products<T>(context, group_.count, heads, tiling.width, tokenizer_->patch());
    TokenBlocks const self = *this;
    Space const space = context.space();
    Index const channels = group_.count, share = std::max<Index>(ceil_div(channels, parts), 1),
                step = through_tokens ? share : std::min(share, many_channels);
    Claims claims(ceil_div(channels, step));
    Claims* const left = &claims;
    context.loop(
        "dchag::channels::pull_tokens", parts,
        [=](Index part) {
          T* const t = all + part * each;
          Pull work{.tiling = tiling,
                    .x = x,
                    .a = a,
                    .delta = delta,
                    .y = y,
                    .dr = dr,
                    .ds = ds,
                    .t = t,
                    .dt = t + tokens,
                    .patches = t + 2 * tokens,
                    .du = nullptr};
          for (Index piece = 0; left->take(piece);) {
            if (through_tokens) {
              work.du = du + piece * embed * heads;
              std::fill_n(work.du, embed * heads, T{0});
            }
            Index const end = std::min(channels, (piece + 1) * step);
            for (Index c = piece * step; c < end; c += many_channels)
              self.pull_channels(space, work, c, std::min(many_channels, end - c), features);
          }
        },
        cost(tiling, 2));
    if (through_tokens) add_du(context, claims.count(), du);
  }

 private:
  // The tokens of a block, and how many channels share what is read of y.
  static constexpr Index block_features = 64, few_channels = 4, many_channels = 8;
  static constexpr Index fewest_features = 16;  // that are worth a thread's while

  struct Features {
    Index first, count;

    static Features part(Index embed, Index part, Index parts) {
      Index const step = round_up(ceil_div(embed, parts), Index{2}), first = std::min(embed, part * step);
      return {first, std::min(step, embed - first)};
    }
  };
  struct Pull {
    Tiling tiling;
    T const *x, *a, *delta, *y;
    T *dr, *ds, *t, *dt, *patches, *du;  // t, dt: [few channels, features, pitch]; patches: as operands; du: [D, h]
  };

  LoopCost cost(Tiling const& tiling, Index passes) const {
    Index const heads = attention_->heads(), embed = attention_->embed();
    return moves<T>((group_.count * (tokenizer_->patch() + passes * heads) + heads * embed) * tiling.width,
                    passes * group_.count * heads * embed * tiling.width);
  }

  // Patches as right operands of products, [P, width] or turned.
  using Patches = linalg::RightOperand<Space, T>;
  using ManyPatches = std::array<Patches, many_channels>;

  /// Numbers that operands of many channels take, each in so many forms.
  Index patch_numbers(Tiling const& tiling, Index forms) const {
    Index const patch = tokenizer_->patch();
    return forms * many_channels * std::max(Patches::size(patch, tiling.width), Patches::size(tiling.width, patch));
  }
  ManyPatches patches_of(Tiling const& tiling, linalg::Op op, T const* x, Index c, Index channels, T* storage) const {
    Index const patch = tokenizer_->patch(), each = patch_numbers(tiling, 1) / many_channels;
    ManyPatches operands;
    for (Index k = 0; k < channels; ++k)
      operands[k] = Patches(op, tile_matrix(x + (c + k) * patch * tiling.pitch, patch, tiling), storage + k * each);
    return operands;
  }

  /// Some features of W of a channel, or of its gradient; the features after them are fetched.
  linalg::Matrix<T> weights(Index c, Features const& features, bool gradient) const {
    constexpr Index line = 64 / sizeof(T);
    Index const patch = tokenizer_->patch(), end = features.first + features.count;
    T* const all = gradient ? tokenizer_->weight_gradient(group_.first + c) : tokenizer_->weight(group_.first + c);
    for (Index at = end * patch; at < std::min(end + features.count, attention_->embed()) * patch; at += line)
      prefetch(all + at);
    return {all + features.first * patch, features.count, patch};
  }
  T const* betas(Index c, Features const& features) const {
    return tokenizer_->beta(group_.first + c) + features.first;
  }

  /// t [channels, features, pitch], without beta.
  void form(Space const& space, Tiling const& tiling, Index c, Index channels, Features const& features,
            Patches const* x, T* t) const {
    for (Index k = 0; k < channels; ++k)
      x[k].multiply(space, linalg::Op::none, T{1}, weights(c + k, features, false), T{0},
                    tile_matrix(t + k * features.count * tiling.pitch, features.count, tiling));
  }

  void sum_part(Space const& space, Tiling const& tiling, Features const& own, T const* x, T const* a, T* t, T* storage,
                T* sums) const {
    Index const heads = attention_->heads(), pitch = tiling.pitch, end = own.first + own.count;
    for (Index c = 0; c < group_.count; c += few_channels) {
      Index const channels = std::min(few_channels, group_.count - c);
      ManyPatches const patches = patches_of(tiling, linalg::Op::none, x, c, channels, storage);
      for (Index e = own.first; e < end; e += block_features) {
        Features const features{e, std::min(block_features, end - e)};
        form(space, tiling, c, channels, features, patches.data(), t);
        detail::SumBlock<T, Space> const block{.heads = heads,
                                               .features = features.count,
                                               .pitch = pitch,
                                               .width = tiling.width,
                                               .beta_step = attention_->embed(),
                                               .a = a + c * heads * pitch,
                                               .t = t,
                                               .beta = betas(c, features),
                                               .sum = sums + e * heads * pitch};
        block(channels, c > 0);
      }
    }
  }

  void pull_channels(Space const& space, Pull const& work, Index c, Index channels, Index features) const {
    using linalg::Op;
    Tiling const& tiling = work.tiling;
    Index const embed = attention_->embed(), heads = attention_->heads(), patch = tokenizer_->patch(),
                step = heads * tiling.pitch;
    ManyPatches const patches = patches_of(tiling, Op::none, work.x, c, channels, work.patches);
    ManyPatches const turned =
        patches_of(tiling, Op::transpose, work.x, c, channels, work.patches + patch_numbers(tiling, 1));
    std::fill_n(work.ds + c * step, channels * step, T{0});
    for (Index e = 0; e < embed; e += features)
      for (Index k = 0; k < channels; k += few_channels)
        pull_block(space, work, c + k, std::min(few_channels, channels - k), {e, std::min(features, embed - e)},
                   &patches[k], &turned[k]);
    if (work.dr == nullptr) return;
    finish_slopes(work, c, channels);
    for (Index k = 0; k < channels; ++k)
      turned[k].multiply(space, Op::none, T{1}, tile_matrix(work.ds + (c + k) * step, heads, tiling), T{1},
                         {work.dr + (c + k) * heads * patch, heads, patch});
  }

  void pull_block(Space const& space, Pull const& work, Index c, Index channels, Features const& features,
                  Patches const* patches, Patches const* turned) const {
    Tiling const& tiling = work.tiling;
    Index const heads = attention_->heads(), pitch = tiling.pitch;
    form(space, tiling, c, channels, features, patches, work.t);
    detail::PullBlock<T, Space> const block{.heads = heads,
                                            .features = features.count,
                                            .pitch = pitch,
                                            .width = tiling.width,
                                            .beta_step = attention_->embed(),
                                            .a = work.a + c * heads * pitch,
                                            .y = work.y + features.first * heads * pitch,
                                            .t = work.t,
                                            .beta = betas(c, features),
                                            .da = work.ds + c * heads * pitch,
                                            .dt = work.dt};
    block(channels);
    if (work.dr == nullptr) pull_scores(space, work, c, channels);
    for (Index k = 0; k < channels; ++k) {
      T const* const dt = work.dt + k * features.count * pitch;
      T* const dbeta = tokenizer_->beta_gradient(group_.first + c + k) + features.first;
      for (Index e = 0; e < features.count; ++e) dbeta[e] += linalg::row_sum<T, Space>(dt + e * pitch, tiling.width);
      turned[k].multiply(space, linalg::Op::none, T{1}, tile_matrix(dt, features.count, tiling), T{1},
                         weights(c + k, features, true));
    }
  }

  /// dt += u^T ds and du += t ds^T, of all features of a few channels.
  void pull_scores(Space const& space, Pull const& work, Index c, Index channels) const {
    using linalg::Op;
    Index const heads = attention_->heads(), embed = attention_->embed(), pitch = work.tiling.pitch;
    finish_slopes(work, c, channels);
    for (Index k = 0; k < channels; ++k) {
      auto const ds = tile_matrix(work.ds + (c + k) * heads * pitch, heads, work.tiling);
      auto const t = tile_matrix(work.t + k * embed * pitch, embed, work.tiling),
                 dt = tile_matrix(work.dt + k * embed * pitch, embed, work.tiling);
      linalg::thread_gemm(space, Op::transpose, Op::none, T{1}, {attention_->scorers(), heads, embed}, ds, T{1}, dt);
      linalg::thread_gemm(space, Op::none, Op::transpose, T{1}, t, ds, T{1}, {work.du, embed, heads});
    }
  }

  /// ds = a (da - delta), where ds holds da.
  void finish_slopes(Pull const& work, Index c, Index channels) const {
    Index const heads = attention_->heads(), pitch = work.tiling.pitch, first = c * heads * pitch;
    kernels::SoftmaxGradient<T, Space> const slopes{heads, pitch, work.a + first, work.delta, work.ds + first};
    for (Index row = 0; row < channels * heads; ++row)
      for (Index n = 0; n < work.tiling.width; n += slopes.lanes) slopes(row, n);
  }

  /// The gradient of u from those of the pieces [D, h].
  void add_du(Context<Space> const& context, Index parts, T const* du) const {
    Index const heads = attention_->heads(), embed = attention_->embed();
    T* const total = attention_->scorer_gradients();
    context.loop(
        "dchag::channels::add_du", heads * embed,
        [=](Index item) {
          for (Index part = 0; part < parts; ++part)
            total[item] += du[(part * embed + item % embed) * heads + item / embed];
        },
        moves<T>((parts + 2) * heads * embed));
  }

  QueryAttention<T, Space>* attention_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
};

}  // namespace dchag::channels
