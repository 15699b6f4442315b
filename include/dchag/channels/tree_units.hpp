#pragma once

#include <algorithm>
#include <array>
#include <dchag/channels/channel_sharing.hpp>
#include <dchag/channels/evaluate/attention_leaf.hpp>
#include <dchag/channels/evaluate/folded_linear.hpp>
#include <dchag/channels/evaluate/tokenized.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/join.hpp>
#include <dchag/channels/tree.hpp>
#include <dchag/channels/tree_shares.hpp>
#include <dchag/channels/units/joint_unit.hpp>
#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace dchag::channels {

/// The units of a tree, as one rank of a replica has them: leaves over channels (or Linear levels folded into one), and
/// units over tokens from first_token_level on. See TreeShares for who does what.
template <class T, class Space, class TreePolicy, EvaluationOrder Evaluation, JoinPolicy Joining>
class TreeUnits {
 public:
  using Levels = typename TreePolicy::levels;
  static constexpr std::size_t depth = TreePolicy::depth;
  template <std::size_t level>
  using UnitOf = typename std::tuple_element_t<level, Levels>::template Unit<T, Space>;
  template <std::size_t level>
  static constexpr bool is_linear = std::same_as<UnitOf<level>, LinearUnit<T, Space>>;
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
  static constexpr bool attention_first = std::same_as<UnitOf<0>, CrossAttentionUnit<T, Space>>;
  static constexpr bool divides_heads = published && depth == 1 && attention_first;  // where channels are not divided
  static constexpr std::size_t first_token_level = folded > 0 ? folded : 1;

  template <std::size_t level>
  using JointUnitOf = JointUnit<UnitOf<level>, T, Space>;
  using Leaf = std::conditional_t<attention_first, AttentionLeaf<T, Space, Evaluation>,
                                  TokenizedLeaf<T, Space, JointUnitOf<0>, published>>;
  template <class Indices>
  struct Units;
  template <std::size_t... level>
  struct Units<std::index_sequence<level...>> {
    using type = std::tuple<std::deque<JointUnitOf<level>>...>;
  };

  /// Throws where a level has more groups than tokens, or the join cannot be as the policy wants it. The tokenizer, of
  /// this rank's channels, must outlive it.
  TreeUnits(Parameters<T, Space>& parameters, ChannelSharing<T, Space> const& sharing, Index embed, Index heads,
            Tokenizer<T, Space>& tokenizer)
      : sharing_(sharing), embed_(embed), tokenizer_(&tokenizer) {
    Index tokens = static_cast<Index>(sharing.owners.size());
    each_level<0>([&](auto level) {
      constexpr Index groups = std::tuple_element_t<level(), Levels>::groups;
      require(groups <= tokens, "Tree: level ", level(), " has ", groups, " groups, but only ", tokens,
              level() == 0 ? " channels" : " tokens", " reach it: use at most ", tokens);
      groups_[level()] = {tokens, groups};
      tokens = groups;
    });
    std::vector<std::vector<Index>> begins{begins_of(groups_.data(), first_token_level)};
    for (std::size_t level = first_token_level; level < depth; ++level) begins.push_back(begins_of(&groups_[level], 1));
    shares_ = TreeShares(sharing_.owners, begins, sharing_.rank(), sharing_.ranks());
    each_level<0>([&](auto level) { build<level()>(parameters, heads); });
    if constexpr (folded > 0) build_folded(std::make_index_sequence<folded>());
  }
  TreeUnits(TreeUnits const&) = delete;

  std::array<Groups, depth> const& groups() const { return groups_; }
  /// Of each level, from the channels on, the tokens that this rank holds; none where levels are folded.
  std::vector<std::vector<Index>> held_tokens() const {
    std::vector<std::vector<Index>> held{sharing_.own};
    for (std::size_t level = 1; level < depth; ++level)
      held.push_back(level < first_token_level ? std::vector<Index>() : shares_.levels[stage_of(level)].tokens);
    return held;
  }
  std::vector<UnitPlace> const& places(std::size_t level) const { return shares_.levels[stage_of(level)].units; }
  Index held(std::size_t level) const { return shares_.levels[stage_of(level)].held; }
  Joint<T, Space> const& joint_of(std::size_t level) const {
    return stage_of(level) + 1 == shares_.levels.size() ? sharing_.last_joint : sharing_.joint;
  }
  FoldedLinear<T, Space>& folded_levels() { return *folded_; }

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

  /// f(unit, place) for the units over tokens that this rank takes part in, from a level on.
  template <std::size_t first, class F>
  void each_running(F const& f) {
    each_level<first>([&](auto level) { each_running_of<level()>(f); });
  }
  template <std::size_t level, class F>
  void each_running_of(F const& f) {
    auto& units = std::get<level>(units_);
    for (std::size_t g = 0; g < units.size(); ++g)
      if (places(level)[g].runs) f(units[g], places(level)[g]);
  }
  template <class F>
  void each_leaf(F const& f) {
    for (std::size_t g = 0; g < leaves_.size(); ++g)
      if (places(0)[g].runs) f(leaves_[g], places(0)[g]);
  }

 private:
  using Place = UnitPlace;

  /// The stage of a level: folded levels are one stage, the first.
  static constexpr std::size_t stage_of(std::size_t level) {
    return level < first_token_level ? 0 : level - first_token_level + 1;
  }

  /// Throws where a unit that has channels for its tokens is shared and Join says Gather, which needs tokens.
  void check_channels(Place const& place) const {
    require(!place.shared || !std::same_as<Joining, Gather>,
            "Join: a unit of the first level has channels of several ranks, which Gather cannot do: begin the Tree "
            "with a level whose number of groups is a multiple of the ",
            sharing_.ranks(), " model ranks, or use Merge");
  }

  /// Whether the ranks merge what they have of a shared unit. What has channels for its tokens is merged wherever it
  /// can be.
  template <std::size_t level>
  bool merges(Place const& place, Index heads) const {
    constexpr bool can = SharedUnit<UnitOf<level>, T, Space>;
    if constexpr (!can) return false;
    if constexpr (level < first_token_level) {
      check_channels(place);
      return true;
    }
    std::vector<Index> counts(static_cast<std::size_t>(sharing_.ranks()), 0);
    for (int holder : place.holders) ++counts[static_cast<std::size_t>(holder)];
    return Joining::merges(JoinSize{sharing_.ranks(), *std::max_element(counts.begin(), counts.end()), embed_,
                                    is_linear<level> ? 0 : heads, joint_of(level).delivers_own_rows()});
  }
  /// How the ranks hold the parameters of a unit.
  Sharing sharing_of(std::size_t level, Place const& place, bool merged) const {
    if (sharing_.joint.alone()) return sharing_.of_whole_units();
    if (!place.shared) return Sharing::divided;
    return merged || joint_of(level).delivers_own_rows() ? Sharing::summed : Sharing::copied;
  }

  template <std::size_t level>
  void build(Parameters<T, Space>& parameters, Index heads) {
    for (Index group = 0; group < groups_[level].groups; ++group) {
      std::string const prefix = "aggregator." + std::to_string(level) + "." + std::to_string(group) + ".";
      UnitShape const shape{groups_[level].size(group), embed_, heads};
      if constexpr (level < folded) {
        auto const hold = parameters.hold(sharing_.joint.alone() ? sharing_.of_whole_units() : Sharing::summed);
        std::get<level>(units_).emplace_back(parameters, prefix, shape);
      } else {
        build_unit<level>(parameters, prefix, shape, places(level)[static_cast<std::size_t>(group)]);
      }
    }
  }
  template <std::size_t level>
  void build_unit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape, Place const& place) {
    bool const merged = place.shared && merges<level>(place, shape.heads);
    auto const& joint = joint_of(level);
    auto const hold = parameters.hold(sharing_of(level, place, merged), place.runs);
    ChannelGroup const own{place.first, place.count};
    if constexpr (level == 0 && attention_first) {
      leaves_.emplace_back(parameters, prefix, shape, *tokenizer_, own, sharing_.head_group);
      if (place.shared) leaves_.back().share(joint);
    } else {
      auto& unit = std::get<level>(units_).emplace_back(parameters, prefix, shape);
      UnitShare<T, Space> const share{joint, place.holders};
      if constexpr (SharedUnit<UnitOf<level>, T, Space>)
        if (merged) unit.merge(share);
      if (place.shared && !merged) unit.gather(share);
      if constexpr (level == 0) leaves_.emplace_back(unit, *tokenizer_, own);
    }
  }
  template <std::size_t... level>
  void build_folded(std::index_sequence<level...>) {
    for (Place const& place : places(0)) check_channels(place);
    std::vector<std::vector<LinearUnit<T, Space>*>> linear(folded);
    (
        [&] {
          for (auto& unit : std::get<level>(units_)) linear[level].push_back(&unit.unit());
        }(),
        ...);
    folded_ =
        std::make_unique<FoldedLinear<T, Space>>(std::move(linear), *tokenizer_, sharing_.owners, sharing_.rank());
  }

  ChannelSharing<T, Space> sharing_;
  Index embed_;
  Tokenizer<T, Space>* tokenizer_;
  std::array<Groups, depth> groups_{};
  TreeShares shares_;
  typename Units<std::make_index_sequence<depth>>::type units_;
  std::deque<Leaf> leaves_;
  std::unique_ptr<FoldedLinear<T, Space>> folded_;
};

}  // namespace dchag::channels
