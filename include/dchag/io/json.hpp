#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/json_reader.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

// JSON by nlohmann's library, held to the letter of the standard, with errors that name the field. Integers and doubles
// stay apart and come back exactly.
namespace dchag {

/// A JSON value; members of objects keep their order.
using Json = nlohmann::ordered_json;

/// The value of a text that is JSON to the letter (RFC 8259) and nothing after it. Throws Error, beginning with source
/// and naming the byte, also where names repeat, an integer needs more than 64 bits, or limits are exceeded.
inline Json parse_json(std::string_view text, std::string_view source, JsonLimits limits = {}) {
  return detail::JsonReader(text, source, limits).read();
}

namespace detail {

/// Throws Error for what the writer would turn into something else or parse_json refuses.
inline void check_numbers(Json const& json) {
  if (json.is_array())
    for (Json const& item : json.get_ref<Json::array_t const&>()) check_numbers(item);
  if (json.is_object())
    for (auto const& [name, member] : json.get_ref<Json::object_t const&>()) check_numbers(member);
  if (json.is_number_float()) {
    auto const number = json.get_ref<double const&>();
    require(std::isfinite(number), "JSON: ", number, " cannot be written, only finite numbers can");
  }
  if (json.is_number_unsigned()) {
    auto const number = json.get_ref<std::uint64_t const&>();
    require(std::in_range<std::int64_t>(number), "JSON: ", number, " does not fit a signed 64-bit integer");
  }
}

[[noreturn]] inline void refuse_kind(Json const& json, std::string_view field, char const* expected) {
  // In the order of nlohmann::detail::value_t.
  constexpr std::array kinds{"null",       "an object",  "an array", "a string", "a bool",
                             "an integer", "an integer", "a number", "binary",   "discarded"};
  fail("JSON: field ", quoted(field), " is ", kinds.at(static_cast<std::size_t>(json.type())), ", expected ", expected);
}

}  // namespace detail

/// Compact JSON. Throws Error for a double that is not finite, for an integer that needs the 64th bit and for a string
/// that is not UTF-8.
inline std::string dump_json(Json const& json) {
  detail::check_numbers(json);
  try {
    return json.dump();
  } catch (Json::type_error const& error) {
    fail("JSON: a string is not UTF-8: ", error.what());
  }
}

/// The value as bool, std::string, any integer that holds it, or a floating-point number (from either kind of number);
/// throws Error naming the field where it is something else.
template <class T>
T json_to(Json const& json, std::string_view field) {
  if constexpr (std::same_as<T, bool>) {
    if (json.is_boolean()) return json.get_ref<bool const&>();
    detail::refuse_kind(json, field, "a bool");
  } else if constexpr (std::same_as<T, std::string>) {
    if (json.is_string()) return json.get_ref<std::string const&>();
    detail::refuse_kind(json, field, "a string");
  } else if constexpr (std::integral<T>) {
    auto const checked = [&](auto value) {
      require(std::in_range<T>(value), "JSON: field ", detail::quoted(field), " = ", value, " is out of range");
      return static_cast<T>(value);
    };
    if (json.is_number_unsigned()) return checked(json.get_ref<std::uint64_t const&>());
    if (json.is_number_integer()) return checked(json.get_ref<std::int64_t const&>());
    detail::refuse_kind(json, field, "an integer");
  } else {
    static_assert(std::floating_point<T>, "a JSON value is read as bool, std::string, an integer or a number");
    if (json.is_number_float()) return static_cast<T>(json.get_ref<double const&>());
    if (json.is_number_integer()) return static_cast<T>(json_to<std::int64_t>(json, field));
    detail::refuse_kind(json, field, "a number");
  }
}

/// The items, a vector; throws Error naming the field where it is no array.
inline Json::array_t const& json_array(Json const& json, std::string_view field) {
  if (!json.is_array()) detail::refuse_kind(json, field, "an array");
  return json.get_ref<Json::array_t const&>();
}

/// The members, pairs of name and value; throws Error naming the field where it is no object.
inline Json::object_t const& json_object(Json const& json, std::string_view field) {
  if (!json.is_object()) detail::refuse_kind(json, field, "an object");
  return json.get_ref<Json::object_t const&>();
}

/// The member of that name; null pointer where the value is no object or has none.
inline Json const* json_find(Json const& json, std::string_view name) {
  if (!json.is_object()) return nullptr;
  for (auto const& [key, member] : json.get_ref<Json::object_t const&>())
    if (key == name) return &member;
  return nullptr;
}

/// The member of that name; throws Error where there is none.
inline Json const& json_at(Json const& json, std::string_view name) {
  Json const* member = json_find(json, name);
  require(member != nullptr, "JSON: field ", detail::quoted(name), " is missing");
  return *member;
}

/// The member of that name as a T; throws Error where it is missing or of another kind.
template <class T>
T json_get(Json const& json, std::string_view name) {
  return json_to<T>(json_at(json, name), name);
}

/// The member of that name as a T, or fallback where it is missing; throws Error where it is of another kind.
template <class T>
T json_get(Json const& json, std::string_view name, T fallback) {
  Json const* member = json_find(json, name);
  return member == nullptr ? fallback : json_to<T>(*member, name);
}

}  // namespace dchag
