#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/json.hpp>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

// Channels by name: in configurations, and between a model and a source of data.
namespace dchag {

namespace detail {

/// "name" [unit, level 500, 645 nm], as far as it is known.
inline std::string channel_text(Channel const& channel) {
  std::ostringstream text, known;
  if (!channel.unit.empty()) known << ", " << channel.unit;
  if (channel.level) known << ", level " << *channel.level;
  if (channel.wavelength) known << ", " << *channel.wavelength << " nm";
  text << detail::quoted(channel.name);
  if (!known.str().empty()) text << " [" << known.str().substr(2) << "]";
  return text.str();
}
inline std::string channels_text(std::vector<Channel> const& list) {
  constexpr std::size_t most = 60;
  std::string text = list.empty() ? "none" : "";
  for (std::size_t c = 0; c < std::min(list.size(), most); ++c) text += (c == 0 ? "" : ", ") + channel_text(list[c]);
  return list.size() <= most ? text : text + " and " + std::to_string(list.size() - most) + " more";
}

/// Equal to the precision of single floats, or not known of both.
inline bool may_be_same(std::optional<double> const& a, std::optional<double> const& b) {
  return !a || !b || *a == *b || std::fabs(*a - *b) <= 1e-6 * std::fmax(std::fabs(*a), std::fabs(*b));
}

/// What two channels of one name say that cannot both be right; empty: nothing.
inline std::string disagreement(Channel const& expected, Channel const& found) {
  std::ostringstream text;
  auto const number = [&](char const* field, std::optional<double> const& a, std::optional<double> const& b) {
    if (!may_be_same(a, b)) text << ", of " << field << " " << *a << " expected and " << *b << " found";
  };
  if (!expected.unit.empty() && !found.unit.empty() && expected.unit != found.unit)
    text << ", in " << detail::quoted(expected.unit) << " expected and " << detail::quoted(found.unit) << " found";
  number("level", expected.level, found.level);
  number("wavelength", expected.wavelength, found.wavelength);
  return text.str().empty() ? "" : detail::quoted(expected.name) + " is " + text.str().substr(2);
}

/// Where each name stands first; names that come twice are told to `problem`.
template <class Problem>
std::map<std::string_view, std::size_t> places_of(std::vector<Channel> const& list, char const* side,
                                                  Problem const& problem) {
  std::map<std::string_view, std::size_t> places;
  for (std::size_t c = 0; c < list.size(); ++c)
    if (!places.emplace(list[c].name, c).second)
      problem(detail::quoted(list[c].name) + " is " + side + " more than once");
  return places;
}

}  // namespace detail

/// What match_channels lets pass.
struct ChannelMatching {
  bool allow_missing = false;  // channels of the model that the source does not have
  bool ignore_extra = false;   // channels of the source that the model does not know
};

/// For each channel of a model where it stands among those of a source, -1 where it is missing. They are matched by
/// name, in any order. Throws one Error that says all that is wrong, and lists what was expected and what was found: a
/// name that the model does not know, one that is missing or there twice, a unit, level or wavelength that is another
/// one where both are known.
inline std::vector<Index> match_channels(std::vector<Channel> const& model, std::vector<Channel> const& found,
                                         ChannelMatching const& options = {}) {
  constexpr int most = 20;
  std::string problems;
  int count = 0;
  auto const problem = [&](std::string const& text) {
    if (++count <= most) problems += (count == 1 ? "" : "; ") + text;
  };
  auto const known = detail::places_of(model, "expected", problem);
  auto const places = detail::places_of(found, "found", problem);
  std::vector<Index> indices;
  for (Channel const& channel : model) {
    auto const place = places.find(channel.name);
    if (place == places.end()) {
      indices.push_back(-1);
      if (!options.allow_missing) problem(detail::quoted(channel.name) + " is missing");
      continue;
    }
    indices.push_back(static_cast<Index>(place->second));
    if (auto const text = detail::disagreement(channel, found[place->second]); !text.empty()) problem(text);
  }
  for (auto const& [name, place] : places)
    if (!known.contains(name) && !options.ignore_extra) problem(detail::quoted(name) + " is not known to the model");
  if (count > most) problems += "; and " + std::to_string(count - most) + " more";
  require(count == 0, "channels do not match: ", problems, ". Expected: ", detail::channels_text(model),
          ". Found: ", detail::channels_text(found));
  return indices;
}

/// Throws unless the list is empty, or has `count` channels of different names that are not empty.
inline void check_channel_list(std::string const& field, std::vector<Channel> const& list, Index count) {
  if (list.empty()) return;
  require(static_cast<Index>(list.size()) == count, field, " has ", list.size(), " entries for ", count,
          " channels: name each, or none");
  for (Channel const& channel : list) require(!channel.name.empty(), field, ": a channel has an empty name");
  detail::places_of(list, "named", [&](std::string const& text) { fail(field, ": ", text, ": names must differ"); });
}

/// [{"name": ..., "unit": ..., "level": ..., "wavelength": ...}, ...] without what is not known.
inline Json channels_json(std::vector<Channel> const& list) {
  Json array = Json::array();
  for (Channel const& channel : list) {
    Json entry{{"name", channel.name}};
    if (!channel.unit.empty()) entry["unit"] = channel.unit;
    if (channel.level) entry["level"] = *channel.level;
    if (channel.wavelength) entry["wavelength"] = *channel.wavelength;
    array.push_back(std::move(entry));
  }
  return array;
}

/// The list of such a field; empty where there is none. Throws Error where it is of another kind.
inline std::vector<Channel> channels_from(Json const& json, std::string_view field) {
  std::vector<Channel> list;
  Json const* const array = json_find(json, field);
  if (array == nullptr) return list;
  for (Json const& entry : json_array(*array, field)) {
    auto const number = [&](char const* name) {
      return json_find(entry, name) == nullptr ? std::optional<double>() : json_get<double>(entry, name);
    };
    list.push_back({json_get<std::string>(entry, "name"), json_get<std::string>(entry, "unit", ""), number("level"),
                    number("wavelength")});
  }
  return list;
}

}  // namespace dchag
