#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dchag/core/error.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dchag {

/// What Json::parse accepts at most, so that a hostile text exhausts neither the stack nor the memory.
struct JsonLimits {
  std::size_t depth = 32;          // of arrays and objects inside one another
  std::size_t values = 1'000'000;  // in the whole text
};

namespace detail {

/// Bytes of the UTF-8 character that a text (not empty) starts with, 0 where it is malformed.
inline std::size_t utf8_length(std::string_view text) {
  auto const byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto const follow = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  unsigned const lead = byte(0), next = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follow(1) ? 2 : 0;
  bool const overlong = (lead == 0xE0 && next < 0xA0) || (lead == 0xF0 && next < 0x90);
  bool const outside = (lead == 0xED && next >= 0xA0) || (lead == 0xF4 && next >= 0x90);  // surrogates, > U+10FFFF
  if (overlong || outside) return 0;
  if (lead >= 0xE0 && lead <= 0xEF) return follow(1) && follow(2) ? 3 : 0;
  if (lead >= 0xF0 && lead <= 0xF4) return follow(1) && follow(2) && follow(3) ? 4 : 0;
  return 0;
}

/// A text in quotes, fit for a message: cut where it is long, with unprintable bytes written as \xHH.
inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char const c : text.substr(0, 100)) {
    std::array<char, 8> hex{};
    std::snprintf(hex.data(), hex.size(), "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += c >= 0x20 && c < 0x7F ? std::string(1, c) : std::string(hex.data());
  }
  return out + (text.size() > 100 ? "...\"" : "\"");
}

}  // namespace detail

/// A JSON value: null, bool, 64-bit integer, double, string, array or object (members in their order, names unique).
/// Integers and doubles stay apart and come back exactly: a double is always written with a point or an exponent.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  template <std::same_as<bool> B>
  Json(B value) : value_(value) {}
  /// Throws Error where an unsigned value needs the 64th bit.
  template <std::integral I>
  requires(!std::same_as<I, bool>) Json(I value) : value_(static_cast<std::int64_t>(value)) {
    require(std::in_range<std::int64_t>(value), "JSON: ", +value, " does not fit a signed 64-bit integer");
  }
  template <std::floating_point F>
  Json(F value) : value_(static_cast<double>(value)) {}
  Json(char const* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  bool operator==(Json const& other) const;

  /// The value of a text that is JSON to the letter (RFC 8259) and nothing after it. Throws Error, beginning with
  /// source and naming the byte, also where names repeat, an integer needs more than 64 bits, or limits are exceeded.
  static Json parse(std::string_view text, std::string_view source, JsonLimits limits = {});

  /// Compact JSON. Throws Error for a double that is not finite and for a string that is not UTF-8.
  std::string dump() const {
    std::string out;
    write(out);
    return out;
  }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// The integer, null pointer where this is none.
  std::int64_t const* integer() const { return std::get_if<std::int64_t>(&value_); }

  /// The value as bool, std::string, any integer that holds it, or a floating-point number (from either kind of
  /// number); throws Error naming the field where it is something else.
  template <class T>
  T to(std::string_view field) const;

  Array const& array(std::string_view field) const {
    if (auto const* items = std::get_if<Array>(&value_)) return *items;
    refuse(field, "an array");
  }
  Object const& object(std::string_view field) const {
    if (auto const* members = std::get_if<Object>(&value_)) return *members;
    refuse(field, "an object");
  }

  /// The member of that name; null pointer where this is no object or has none.
  Json const* find(std::string_view name) const {
    auto const* members = std::get_if<Object>(&value_);
    if (members == nullptr) return nullptr;
    auto const found = std::find_if(members->begin(), members->end(), [&](auto const& m) { return m.first == name; });
    return found == members->end() ? nullptr : &found->second;
  }

  /// The member of that name; throws Error where there is none.
  Json const& at(std::string_view name) const {
    Json const* member = find(name);
    require(member != nullptr, "JSON: field ", detail::quoted(name), " is missing");
    return *member;
  }

  /// The member of that name as a T; throws Error where it is missing or of another kind.
  template <class T>
  T get(std::string_view name) const {
    return at(name).template to<T>(name);
  }

  /// The member of that name as a T, or fallback where it is missing; throws Error where it is of another kind.
  template <class T>
  T get(std::string_view name, T fallback) const {
    Json const* member = find(name);
    return member == nullptr ? fallback : member->template to<T>(name);
  }

  /// Adds a member or replaces the one of that name; null becomes an object, throws Error for anything else.
  Json& set(std::string_view name, Json value) {
    if (is_null()) value_ = Object{};
    auto* members = std::get_if<Object>(&value_);
    if (members == nullptr) fail("JSON: field ", detail::quoted(name), " cannot be set: the value is not an object");
    for (auto& [key, member] : *members) {
      if (key != name) continue;
      member = std::move(value);
      return *this;
    }
    members->emplace_back(name, std::move(value));
    return *this;
  }

 private:
  [[noreturn]] void refuse(std::string_view field, char const* expected) const {
    constexpr std::array kinds{"null", "a bool", "an integer", "a number", "a string", "an array", "an object"};
    fail("JSON: field ", detail::quoted(field), " is ", kinds[value_.index()], ", expected ", expected);
  }

  static void write_string(std::string& out, std::string_view text) {
    out += '"';
    for (std::size_t i = 0; i < text.size();) {
      std::size_t const bytes = detail::utf8_length(text.substr(i));
      require(bytes > 0, "JSON: string ", detail::quoted(text), " is not UTF-8 at byte ", i);
      char const c = text[i];
      if (c == '"' || c == '\\') {
        out += {'\\', c};
      } else if (bytes == 1 && c < 0x20) {
        std::array<char, 8> escape{};
        std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
        out += escape.data();
      } else {
        out += text.substr(i, bytes);
      }
      i += bytes;
    }
    out += '"';
  }

  template <class Number>
  static void write_number(std::string& out, Number number) {
    std::array<char, 32> text{};
    auto const end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    std::string_view const digits(text.data(), static_cast<std::size_t>(end - text.data()));
    out += digits;
    if (std::floating_point<Number> && digits.find_first_of(".e") == digits.npos) out += ".0";
  }

  void write(std::string& out) const {
    if (is_null()) out += "null";
    if (auto const* flag = std::get_if<bool>(&value_)) out += *flag ? "true" : "false";
    if (auto const* integer = std::get_if<std::int64_t>(&value_)) write_number(out, *integer);
    if (auto const* number = std::get_if<double>(&value_)) {
      require(std::isfinite(*number), "JSON: ", *number, " cannot be written, only finite numbers can");
      write_number(out, *number);
    }
    if (auto const* text = std::get_if<std::string>(&value_)) write_string(out, *text);
    if (auto const* items = std::get_if<Array>(&value_)) {
      char separator = '[';
      for (auto const& item : *items) {
        out += std::exchange(separator, ',');
        item.write(out);
      }
      out += items->empty() ? "[]" : "]";
    }
    if (auto const* members = std::get_if<Object>(&value_)) {
      char separator = '{';
      for (auto const& [name, member] : *members) {
        out += std::exchange(separator, ',');
        write_string(out, name);
        out += ':';
        member.write(out);
      }
      out += members->empty() ? "{}" : "}";
    }
  }

  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

inline bool Json::operator==(Json const& other) const { return value_ == other.value_; }

template <class T>
T Json::to(std::string_view field) const {
  if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    if (auto const* value = std::get_if<T>(&value_)) return *value;
    refuse(field, std::same_as<T, bool> ? "a bool" : "a string");
  } else if constexpr (std::integral<T>) {
    auto const* value = std::get_if<std::int64_t>(&value_);
    if (value == nullptr) refuse(field, "an integer");
    require(std::in_range<T>(*value), "JSON: field ", detail::quoted(field), " = ", *value, " is out of range");
    return static_cast<T>(*value);
  } else {
    static_assert(std::floating_point<T>, "a JSON value is read as bool, std::string, an integer or a number");
    if (auto const* value = std::get_if<std::int64_t>(&value_)) return static_cast<T>(*value);
    if (auto const* value = std::get_if<double>(&value_)) return static_cast<T>(*value);
    refuse(field, "a number");
  }
}

}  // namespace dchag

#include <dchag/io/detail/json_parser.hpp>
