#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/parallel/communicator.hpp>
#include <ios>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// A name and the text of a value: floating numbers with the digits that tell them from all others.
struct ConfigurationField {
  std::string name, value;

  template <class Value>
  ConfigurationField(std::string_view field, Value const& content) : name(field) {
    if constexpr (std::floating_point<Value>) {
      std::array<char, 64> digits;
      value.assign(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), content).ptr);
    } else {
      std::ostringstream text;
      text << std::boolalpha << content;
      value = text.str();
    }
  }
};

namespace detail {

/// The two texts of a field, each behind its length.
inline std::string encoded(ConfigurationField const& field) {
  std::string text;
  for (std::string const* part : {&field.name, &field.value}) text += std::to_string(part->size()) + ':' + *part;
  return text;
}

inline std::string encoded(std::vector<ConfigurationField> const& fields) {
  std::string text;
  for (auto const& field : fields) text += encoded(field);
  return text;
}

inline std::vector<ConfigurationField> decoded(std::string_view text) {
  auto const take = [&] {
    std::size_t length = 0;
    auto const colon = std::from_chars(text.data(), text.data() + text.size(), length).ptr;
    text.remove_prefix(static_cast<std::size_t>(colon - text.data()) + 1);
    std::string_view const part = text.substr(0, length);
    text.remove_prefix(length);
    return part;
  };
  std::vector<ConfigurationField> fields;
  while (!text.empty()) {
    auto const name = take(), value = take();
    fields.emplace_back(name, value);
  }
  return fields;
}

/// 64 bits that differ where the fields do, whatever their order.
inline std::uint64_t digest(std::vector<ConfigurationField> const& fields) {
  std::uint64_t sum = 0;
  for (auto const& field : fields) sum += random_key(0, encoded(field));
  return sum;
}

inline bool all_equal(Communicator const& group, std::uint64_t value) {
  auto const [largest, least] = group.all_reduce(std::array{value, ~value}, Reduction::max);
  return largest == ~least;
}

/// "rank 3" or "ranks 0-2, 5".
inline std::string ranks_text(std::vector<int> const& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t first = 0, last = 0; first < ranks.size(); first = last + 1) {
    last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += (first == 0 ? "" : ", ") + std::to_string(ranks[first]);
    if (last > first) text += '-' + std::to_string(ranks[last]);
  }
  return text;
}

/// The values of one field (none: the rank lacks it), and the ranks that have each of them. Long values are shown
/// where they begin to differ, and no more than a few of them.
inline std::string values_text(std::vector<std::optional<std::string>> const& values) {
  std::vector<std::pair<std::optional<std::string>, std::vector<int>>> groups;
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    auto const same =
        std::find_if(groups.begin(), groups.end(), [&](auto const& g) { return g.first == values[rank]; });
    auto& group = same == groups.end() ? groups.emplace_back(values[rank], std::vector<int>()) : *same;
    group.second.push_back(static_cast<int>(rank));
  }
  constexpr std::size_t longest = 60, before = 20, shown = 4;
  std::string const a = groups[0].first.value_or(""), b = groups[1].first.value_or("");
  auto const differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  auto const at = static_cast<std::size_t>(differ - a.begin());
  std::size_t const begin = std::max(a.size(), b.size()) <= longest || at <= before ? 0 : at - before;
  std::string text;
  for (std::size_t g = 0; g < std::min(groups.size(), shown); ++g) {
    auto const& [value, ranks] = groups[g];
    std::string part = value ? value->substr(std::min(begin, value->size()), longest) : "missing";
    if (value && begin > 0) part.insert(0, "...");
    if (value && value->size() > begin + longest) part += "...";
    text += (g == 0 ? "" : ", ") + part + " on " + ranks_text(ranks);
  }
  if (groups.size() > shown) text += ", and " + std::to_string(groups.size() - shown) + " other values";
  return text;
}

/// Of fields that are not all the same, the first that differs, in the order of the lowest rank that has it. A
/// field without a name is the title.
inline std::string first_difference(std::vector<std::vector<ConfigurationField>> const& of_ranks) {
  for (auto const& fields : of_ranks) {
    for (auto const& field : fields) {
      std::vector<std::optional<std::string>> values;
      for (auto const& others : of_ranks) {
        auto const found = std::find_if(others.begin(), others.end(),
                                        [&](ConfigurationField const& s) { return s.name == field.name; });
        values.push_back(found == others.end() ? std::nullopt : std::optional(found->value));
      }
      bool const same = std::all_of(values.begin(), values.end(), [&](auto const& v) { return v == field.value; });
      if (!same)
        return (field.name.empty() ? "what is checked" : field.name) +
               " differs between the ranks: " + values_text(values);
    }
  }
  return "a field stands twice";
}

}  // namespace detail

/// Throws Error on every rank of the group unless all of them give the same fields, whatever their order: it names
/// the first one that differs, its values and the ranks that have them, a field that a rank lacks included. `what` is
/// what the fields are of, and begins the message. Every rank of the group calls it, with names that differ from each
/// other. Where all agree it costs one all_reduce of 16 bytes.
///
///     check_same(mesh.world(), "forecaster", {{"channels", 80}, {"embed", 512}});
inline void check_same(Communicator const& group, std::string_view what,
                       std::vector<ConfigurationField> const& fields) {
  if (group.size() == 1) return;
  std::vector<ConfigurationField> own{{"", what}};
  own.insert(own.end(), fields.begin(), fields.end());
  if (detail::all_equal(group, detail::digest(own))) return;
  std::vector<std::vector<ConfigurationField>> of_ranks;
  for (auto const& text : group.all_gather(detail::encoded(own))) of_ranks.push_back(detail::decoded(text));
  fail(what, ": ", detail::first_difference(of_ranks), ": start all ranks with the same");
}

}  // namespace dchag
