#pragma once

#include <array>
#include <dchag/channels/evaluate/attention_leaf.hpp>
#include <dchag/channels/evaluate/folded_linear.hpp>
#include <dchag/channels/evaluate/tokenized.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/channels/tree.hpp>
#include <deque>
#include <memory>
#include <string>
#include <tuple>

namespace dchag {

/// From images of many channels to one token a location: patches, tokenization, and the tree of units.
///
/// It works tile by tile of rows; what a tile leaves for the backward pass (its patches, the tokens between levels,
/// what the units keep) is its *record*. With `recompute`, records are made again in the backward pass instead of being
/// kept.
///
/// A call of forward pushes on the workspace what is left until backward is done; the caller releases it.
template <class T, class Space, class TreePolicy, EvaluationOrder Evaluation, bool recompute>
class FrontEnd {
  using Levels = typename TreePolicy::levels;
  static constexpr std::size_t depth = TreePolicy::depth;
  template <std::size_t level>
  using UnitOf = typename std::tuple_element_t<level, Levels>::template Unit<T, Space>;
  template <std::size_t level>
  static constexpr bool is_linear = std::same_as<UnitOf<level>, channels::LinearUnit<T, Space>>;
  static constexpr bool published = !Evaluation::allows(Order::token_space) && !Evaluation::allows(Order::patch_space);

  template <std::size_t level = 0>
  static constexpr std::size_t leading_linear() {
    if constexpr (level < depth) {
      if constexpr (is_linear<level>) return 1 + leading_linear<level + 1>();
    }
    return 0;
  }
  /// Leading Linear levels are folded into one, unless evaluation is as published.
  static constexpr std::size_t folded = published ? 0 : leading_linear();
  static constexpr bool attention_first = std::same_as<UnitOf<0>, channels::CrossAttentionUnit<T, Space>>;
  static constexpr std::size_t first_token_level = folded > 0 ? folded : 1;

  using AttentionLeaf = channels::AttentionLeaf<T, Space, Evaluation>;
  using TokenizedLeaf = channels::TokenizedLeaf<T, Space, UnitOf<0>, published>;
  using Leaf = std::conditional_t<attention_first, AttentionLeaf, TokenizedLeaf>;
  template <class Indices>
  struct Units;
  template <std::size_t... level>
  struct Units<std::index_sequence<level...>> {
    using type = std::tuple<std::deque<UnitOf<level>>...>;
  };

 public:
  /// Throws where the patch does not divide the image, the heads the features, or a level has more groups than tokens.
  FrontEnd(Parameters<T, Space>& parameters, channels::PatchGrid const& grid, Index embed, Index heads)
      : grid_(grid),
        embed_(embed),
        tokenizer_(checked(parameters, grid, embed, heads), grid.channels, embed, grid.pixels()) {
    Index tokens = grid.channels;
    each_level<0>([&](auto level) {
      constexpr Index groups = std::tuple_element_t<level(), Levels>::groups;
      require(groups <= tokens, "Tree: level ", level(), " has ", groups, " groups, but only ", tokens,
              level() == 0 ? " channels" : " tokens", " reach it: use at most ", tokens);
      groups_[level()] = {tokens, groups};
      tokens = groups;
    });
    each_level<0>([&](auto level) { build<level()>(parameters, heads); });
    if constexpr (folded > 0) build_folded(std::make_index_sequence<folded>());
  }
  FrontEnd(FrontEnd const&) = delete;

  channels::PatchGrid const& grid() const { return grid_; }

  /// Images [B, C, H, W] and keep [B, per_image] (locations wanted, or null for all) stay valid until backward is done.
  /// Tokens are left in tiles, [tiles, D, pitch]: see out() and tiling().
  void forward(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch) {
    Region region("dchag::front_end::forward");
    begin(context, images, keep, per_image, batch);
    if constexpr (recompute) {
      forward_tiles(context);
    } else {
      records_ = context.workspace().template push<T***>(tiling_.tiles, record_rows_, tiling_.pitch).data();
      for (Index tile = 0; tile < tiling_.tiles; ++tile) forward_tile(context, tile, record_of(tile), out_of(tile));
    }
  }

  /// The same, without leaving anything for a backward pass.
  void evaluate(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch) {
    Region region("dchag::front_end::evaluate");
    begin(context, images, keep, per_image, batch);
    forward_tiles(context);
  }

  Tiling const& tiling() const { return tiling_; }
  T* out() const { return out_; }

  /// From the gradient of the tokens, [tiles, D, pitch] with zero padding rows (out() may be used for it), adds those
  /// of the parameters.
  void backward(Context<Space> const& context, T const* gradient) {
    Region region("dchag::front_end::backward");
    for (Index tile = tiling_.tiles - 1; tile >= 0; --tile) {
      auto scope = context.workspace().scope();
      T* record = recompute ? nullptr : record_of(tile);
      if constexpr (recompute) {
        record = context.workspace().template push<T**>(record_rows_, tiling_.pitch).data();
        T* const out_again = context.workspace().template push<T**>(embed_, tiling_.pitch).data();
        forward_tile(context, tile, record, out_again);
      }
      backward_tile(context, record, gradient + tile * embed_ * tiling_.pitch);
    }
    each_level<first_token_level>([&](auto level) {
      for (auto& unit : std::get<level()>(units_)) unit.finish(context);
    });
    if constexpr (folded > 0)
      folded_->finish(context);
    else
      for (auto& leaf : leaves_) leaf.finish(context);
    tokenizer_.finish(context);
  }

  /// The order of evaluation of each unit of a first level of CrossAttention, as of the latest forward().
  std::vector<Order> orders() const {
    std::vector<Order> orders;
    if constexpr (attention_first)
      for (auto const& leaf : leaves_) orders.push_back(leaf.order());
    return orders;
  }

 private:
  static Parameters<T, Space>& checked(Parameters<T, Space>& parameters, channels::PatchGrid const& grid, Index embed,
                                       Index heads) {
    require(grid.channels > 0, "channels = ", grid.channels, ": an image has at least one");
    require(grid.patch > 0 && grid.height > 0 && grid.width > 0, "patch = ", grid.patch, ", height = ", grid.height,
            ", width = ", grid.width, ": all must be positive");
    require(grid.height % grid.patch == 0 && grid.width % grid.patch == 0, "patch = ", grid.patch,
            " does not divide height = ", grid.height, " and width = ", grid.width,
            ": crop or pad the image, or choose a common divisor");
    require(embed > 0 && heads > 0 && embed % heads == 0, "heads = ", heads, " does not divide embed = ", embed,
            ": choose heads among the divisors of embed");
    return parameters;
  }

  template <std::size_t first, class F>
  static void each_level(F const& f) {
    if constexpr (first < depth) {
      f(std::integral_constant<std::size_t, first>());
      each_level<first + 1>(f);
    }
  }
  template <std::size_t last, class F>
  static void each_token_level_down(F const& f) {
    if constexpr (last > first_token_level) {
      f(std::integral_constant<std::size_t, last - 1>());
      each_token_level_down<last - 1>(f);
    }
  }

  template <std::size_t level>
  void build(Parameters<T, Space>& parameters, Index heads) {
    for (Index group = 0; group < groups_[level].groups; ++group) {
      std::string const prefix = "aggregator." + std::to_string(level) + "." + std::to_string(group) + ".";
      UnitShape const shape{groups_[level].size(group), embed_, heads};
      channels::ChannelGroup const channels{groups_[level].begin(group), shape.tokens};
      if constexpr (level == 0 && attention_first) {
        leaves_.emplace_back(parameters, prefix, shape, tokenizer_, channels);
      } else {
        std::get<level>(units_).emplace_back(parameters, prefix, shape);
        if constexpr (level == 0 && folded == 0) leaves_.emplace_back(std::get<0>(units_).back(), tokenizer_, channels);
      }
    }
  }
  template <std::size_t... level>
  void build_folded(std::index_sequence<level...>) {
    std::vector<std::vector<channels::LinearUnit<T, Space>*>> linear(folded);
    (
        [&] {
          for (auto& unit : std::get<level>(units_)) linear[level].push_back(&unit);
        }(),
        ...);
    folded_ = std::make_unique<channels::FoldedLinear<T, Space>>(std::move(linear), tokenizer_);
  }

  void begin(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch) {
    images_ = images;
    keep_ = keep;
    per_image_ = per_image;
    tiling_ = Tiling::of<T, Space>(batch * per_image);
    if constexpr (attention_first)
      for (auto& leaf : leaves_) leaf.choose(tiling_.rows);
    out_ = context.workspace().template push<T***>(tiling_.tiles, embed_, tiling_.pitch).data();
    prepare(context);
    record_rows_ = lay_out_record();
  }

  /// All tiles through one record.
  void forward_tiles(Context<Space> const& context) {
    auto scope = context.workspace().scope();
    T* const record = context.workspace().template push<T**>(record_rows_, tiling_.pitch).data();
    for (Index tile = 0; tile < tiling_.tiles; ++tile) forward_tile(context, tile, record, out_of(tile));
  }

  void prepare(Context<Space> const& context) {
    tokenizer_.prepare(context);
    if constexpr (folded > 0)
      folded_->prepare(context);
    else
      for (auto& leaf : leaves_) leaf.prepare(context);
    each_level<first_token_level>([&](auto level) {
      for (auto& unit : std::get<level()>(units_)) unit.prepare(context);
    });
  }

  /// Where in a record the parts are, in rows of `pitch` numbers: the patches first.
  Index lay_out_record() {
    Index rows = grid_.channels * grid_.pixels();
    each_level<first_token_level>([&](auto level) {
      tokens_at_[level()] = rows;
      rows += groups_[level()].tokens * embed_;
    });
    kept_at_[0] = rows;
    if constexpr (folded == 0)
      for (auto& leaf : leaves_) rows += leaf.kept_per_row();
    each_level<first_token_level>([&](auto level) {
      kept_at_[level()] = rows;
      for (auto& unit : std::get<level()>(units_)) rows += unit.kept_per_row();
    });
    return rows;
  }
  T* record_of(Index tile) const { return records_ + tile * record_rows_ * tiling_.pitch; }
  T* out_of(Index tile) const { return out_ + tile * embed_ * tiling_.pitch; }

  void forward_tile(Context<Space> const& context, Index tile, T* record, T* out) {
    Index const pitch = tiling_.pitch;
    channels::gather_patches(context, grid_, tiling_, tile, images_, keep_, per_image_, record);
    T* to = first_token_level < depth ? record + tokens_at_[std::min(first_token_level, depth - 1)] * pitch : out;
    if constexpr (folded > 0) {
      folded_->forward(context, tiling_, record, to);
    } else {
      T* kept = record + kept_at_[0] * pitch;
      for (std::size_t group = 0; group < leaves_.size(); ++group) {
        Index const channel = groups_[0].begin(static_cast<Index>(group));
        leaves_[group].forward(context, tiling_, record + channel * grid_.pixels() * pitch, kept,
                               to + static_cast<Index>(group) * embed_ * pitch);
        kept += leaves_[group].kept_per_row() * pitch;
      }
    }
    each_level<first_token_level>([&](auto level) {
      T const* const tokens = record + tokens_at_[level()] * pitch;
      T* const above = level() + 1 < depth ? record + tokens_at_[std::min(level() + 1, depth - 1)] * pitch : out;
      T* kept = record + kept_at_[level()] * pitch;
      auto& units = std::get<level()>(units_);
      for (Index group = 0; group < groups_[level()].groups; ++group) {
        auto& unit = units[static_cast<std::size_t>(group)];
        unit.forward(context, tiling_, tokens + groups_[level()].begin(group) * embed_ * pitch, kept,
                     above + group * embed_ * pitch);
        kept += unit.kept_per_row() * pitch;
      }
    });
  }

  void backward_tile(Context<Space> const& context, T const* record, T const* gradient) {
    Index const pitch = tiling_.pitch;
    each_token_level_down<depth>([&](auto level) {
      auto const& groups = groups_[level()];
      T* const below = context.workspace().template push<T***>(groups.tokens, embed_, pitch).data();
      T const* const tokens = record + tokens_at_[level()] * pitch;
      T const* kept = record + kept_at_[level()] * pitch;
      auto& units = std::get<level()>(units_);
      for (Index group = 0; group < groups.groups; ++group) {
        auto& unit = units[static_cast<std::size_t>(group)];
        Index const offset = groups.begin(group) * embed_ * pitch;
        unit.backward(context, tiling_, tokens + offset, kept, gradient + group * embed_ * pitch, below + offset);
        kept += unit.kept_per_row() * pitch;
      }
      gradient = below;
    });
    if constexpr (folded > 0) {
      folded_->backward(context, tiling_, record, gradient);
    } else {
      T const* kept = record + kept_at_[0] * pitch;
      for (std::size_t group = 0; group < leaves_.size(); ++group) {
        Index const channel = groups_[0].begin(static_cast<Index>(group));
        leaves_[group].backward(context, tiling_, record + channel * grid_.pixels() * pitch, kept,
                                gradient + static_cast<Index>(group) * embed_ * pitch);
        kept += leaves_[group].kept_per_row() * pitch;
      }
    }
  }

  channels::PatchGrid grid_;
  Index embed_;
  channels::Tokenizer<T, Space> tokenizer_;
  std::array<channels::Groups, depth> groups_{};
  typename Units<std::make_index_sequence<depth>>::type units_;
  std::deque<Leaf> leaves_;
  std::unique_ptr<channels::FoldedLinear<T, Space>> folded_;

  T const* images_ = nullptr;
  Index const* keep_ = nullptr;
  Index per_image_ = 0, record_rows_ = 0;
  Tiling tiling_;
  std::array<Index, depth> tokens_at_{}, kept_at_{};
  T *records_ = nullptr, *out_ = nullptr;
};

}  // namespace dchag
