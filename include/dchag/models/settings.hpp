#pragma once

#include <dchag/channels/automatic.hpp>
#include <dchag/channels/joint.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/channels/tree.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/policies.hpp>
#include <dchag/io/channel_catalog.hpp>
#include <dchag/io/json.hpp>
#include <dchag/layers/spread.hpp>
#include <dchag/layers/spread_tensor_sequence.hpp>
#include <dchag/parallel/agreement.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/parallel/strategy.hpp>
#include <string>
#include <tuple>
#include <vector>

namespace dchag {

/// What the policies of a model say, defaults included.
template <Policy... Policies>
requires OnePolicyPerRole<Policies...>
struct Settings {
  using Precision = find_policy<role::Precision, dchag::Precision<float>, Policies...>;
  using Scalar = typename Precision::Scalar;
  using Space =
      typename find_policy<role::Space, dchag::Space<Kokkos::DefaultExecutionSpace>, Policies...>::execution_space;
  using Partition = typename find_policy<role::Partition, dchag::Partition<Contiguous>, Policies...>::policy;
  using Tree = find_policy<role::Tree, dchag::Tree<CrossAttention<1>>, Policies...>;
  using Join = typename find_policy<role::Join, dchag::Join<Auto>, Policies...>::policy;
  using Order = typename find_policy<role::Evaluate, Evaluate<Auto>, Policies...>::order;
  using Parallel = find_policy<role::Parallel, dchag::Parallel<>, Policies...>;
  using Recompute = find_policy<role::Recompute, dchag::Recompute<Nothing>, Policies...>;
  using Missing = typename find_policy<role::Missing, dchag::Missing<Refuse>, Policies...>::policy;

  /// The front end delivers the rows that the transformer's blocks begin with.
  static constexpr channels::Delivery delivery =
      layers::Spread<typename Parallel::Model>::divides_rows ? channels::Delivery::own_rows : channels::Delivery::whole;
};

/// How a model is built. Without storage it can only be planned: run in contexts that measure.
struct BuildOptions {
  std::uint64_t seed = 0;  // of the first values, and of dropout: a run that is resumed gives the same
  bool storage = true;
  std::vector<double> channel_costs{};  // for the Partition policy: of each channel, in any unit; none: all alike
};

namespace detail {

/// [{"unit": name, "groups": G}, ...] of a tree.
template <class TreePolicy>
Json tree_json() {
  Json levels = Json::array();
  [&]<class... Level>(std::type_identity<std::tuple<Level...>>) {
    (levels.push_back({{"unit", Level::name}, {"groups", Level::groups}}), ...);
  }(std::type_identity<typename TreePolicy::levels>());
  return levels;
}

/// What a checkpoint's "dchag.config" holds.
template <class TreePolicy, class Config>
Json configuration(Config const& config) {
  Json json = config.json();
  json["tree"] = tree_json<TreePolicy>();
  return json;
}

/// None where the field is absent. Throws Error where it is no array of numbers.
inline std::vector<double> numbers_of(Json const& json, char const* name) {
  std::vector<double> numbers;
  if (Json const* const field = json_find(json, name); field != nullptr)
    for (Json const& value : json_array(*field, name)) numbers.push_back(json_to<double>(value, name));
  return numbers;
}

/// Throws on every rank of the mesh where they build a model of different configurations, seeds or costs of channels,
/// naming the field. All ranks call it.
inline void check_same_model(Mesh const& mesh, Json const& config, BuildOptions const& options) {
  if (mesh.world().size() == 1) return;
  std::vector<ConfigurationField> fields{{"seed", options.seed}, {"storage", options.storage}};
  for (auto const& [name, value] : json_object(config, "configuration")) fields.emplace_back(name, dump_json(value));
  for (std::size_t c = 0; c < options.channel_costs.size(); ++c)
    fields.emplace_back("channel_costs[" + std::to_string(c) + "]", options.channel_costs[c]);
  check_same(mesh.world(), "model", fields);
}

/// Throws unless `images` is [batch, channels, height, width].
template <class V>
void check_images(char const* field, V const& images, Index batch, Index channels, Index height, Index width) {
  auto const extent = [&](unsigned axis) { return static_cast<Index>(images.extent(axis)); };
  require(batch > 0 && extent(0) == batch && extent(1) == channels && extent(2) == height && extent(3) == width,
          "batch: ", field, " is [", extent(0), ", ", extent(1), ", ", extent(2), ", ", extent(3), "], expected [",
          batch > 0 ? batch : 1, ", ", channels, ", ", height, ", ", width, "]");
}

/// Of the elements of all views.
template <class... Views>
std::size_t bytes_of_views(Views const&... views) {
  return (std::size_t{0} + ... + (views.size() * sizeof(typename Views::value_type)));
}

/// The names of channels.
inline std::vector<std::string> names_of(std::vector<Channel> const& list) {
  std::vector<std::string> names;
  for (Channel const& channel : list) names.push_back(channel.name);
  return names;
}

/// Throws unless `present` is [batch, channels] or says nothing.
template <class V>
void check_present(V const& present, Index batch, Index channels) {
  require(present.extent(0) == 0 ||
              (static_cast<Index>(present.extent(0)) == batch && static_cast<Index>(present.extent(1)) == channels),
          "batch: present is [", present.extent(0), ", ", present.extent(1), "], expected [", batch, ", ", channels,
          "], of all ranks' channels, or nothing where no image lacks any");
}

}  // namespace detail
}  // namespace dchag
