#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace dchag::detail {

/// Recursive descent over RFC 8259, as deep as JsonLimits allows.
class JsonParser {
 public:
  JsonParser(std::string_view text, std::string_view source, JsonLimits limits)
      : text_(text), source_(source), limits_(limits) {}

  Json document() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) refuse("expected nothing more");
    return value;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(Parts const&... parts) const {
    fail(source_, ": JSON at byte ", at_, ": ", parts...);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool take(char symbol) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != symbol) return false;
    ++at_;
    return true;
  }

  void expect(char symbol) {
    if (!take(symbol)) refuse("expected '", symbol, "'", at_ == text_.size() ? ", but the text ends" : "");
  }

  Json parse_value(std::size_t depth) {
    skip_space();
    if (++values_ > limits_.values) refuse("more than ", limits_.values, " values");
    char const first = peek();
    if (first == '{' || first == '[') {
      if (depth == limits_.depth) refuse("deeper than ", limits_.depth, " levels");
      return first == '{' ? parse_object(depth + 1) : parse_array(depth + 1);
    }
    if (first == '"') return parse_string();
    if (first == '-' || (first >= '0' && first <= '9')) return parse_number();
    if (take_word("null")) return {};
    if (take_word("true")) return true;
    if (take_word("false")) return false;
    refuse("expected a value", at_ == text_.size() ? ", but the text ends" : "");
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json parse_array(std::size_t depth) {
    ++at_;
    Json::Array items;
    if (take(']')) return items;
    do items.push_back(parse_value(depth));
    while (take(','));
    expect(']');
    return items;
  }

  Json parse_object(std::size_t depth) {
    ++at_;
    Json::Object members;
    if (take('}')) return members;
    do {
      skip_space();
      if (peek() != '"') refuse("expected a name in quotes");
      std::string name = parse_string();
      expect(':');
      members.emplace_back(std::move(name), parse_value(depth));
    } while (take(','));
    expect('}');
    refuse_repeated(members);
    return members;
  }

  void refuse_repeated(Json::Object const& members) const {
    std::vector<std::string_view> names;
    for (auto const& member : members) names.push_back(member.first);
    std::sort(names.begin(), names.end());
    auto const repeated = std::adjacent_find(names.begin(), names.end());
    if (repeated != names.end()) refuse("name ", quoted(*repeated), " stands twice in one object");
  }

  std::string parse_string() {
    ++at_;
    std::string out;
    while (true) {
      if (at_ == text_.size()) refuse("expected '\"', but the text ends");
      char const c = text_[at_];
      std::size_t const bytes = utf8_length(text_.substr(at_));
      if (bytes == 0) refuse("a string is not UTF-8");
      if (bytes == 1 && c < 0x20) refuse("a control character must be escaped");
      if (c == '\\') {
        parse_escape(out);
        continue;
      }
      at_ += bytes;
      if (c == '"') return out;
      out += text_.substr(at_ - bytes, bytes);
    }
  }

  void parse_escape(std::string& out) {
    ++at_;
    static constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (take_word("u")) return append_utf8(out, parse_code_point());
    auto const which = at_ < text_.size() ? letters.find(text_[at_]) : letters.npos;
    if (which == letters.npos) refuse("unknown escape");
    out += meanings[which];
    ++at_;
  }

  std::uint32_t parse_code_point() {
    std::uint32_t const first = parse_hex();
    if (first >= 0xDC00 && first < 0xE000) refuse("half of a surrogate pair");
    if (first < 0xD800 || first >= 0xDC00) return first;
    if (!take_word("\\u")) refuse("half of a surrogate pair");
    std::uint32_t const second = parse_hex();
    if (second < 0xDC00 || second >= 0xE000) refuse("half of a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  std::uint32_t parse_hex() {
    std::uint32_t code = 0;
    auto const digits = text_.substr(at_, 4);
    auto const [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || status != std::errc{} || end != digits.data() + 4) refuse("expected four hex digits");
    at_ += 4;
    return code;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    auto const add = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    auto const follow = [&](unsigned shift) { add(0x80 | ((code >> shift) & 0x3F)); };
    if (code < 0x80) return add(code);
    if (code < 0x800) {
      add(0xC0 | (code >> 6));
    } else {
      if (code < 0x10000) {
        add(0xE0 | (code >> 12));
      } else {
        add(0xF0 | (code >> 18));
        follow(12);
      }
      follow(6);
    }
    follow(0);
  }

  std::size_t skip_digits() {
    std::size_t const start = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - start;
  }

  Json parse_number() {
    std::size_t const start = at_;
    bool whole = true;
    if (peek() == '-') ++at_;
    bool const zero = peek() == '0';
    std::size_t const digits = skip_digits();
    if (digits == 0 || (zero && digits > 1)) refuse("a number starts with one digit other than 0, or is 0");
    if (peek() == '.') {
      whole = false;
      ++at_;
      if (skip_digits() == 0) refuse("expected a digit after the point");
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (skip_digits() == 0) refuse("expected a digit in the exponent");
    }
    std::string_view const text = text_.substr(start, at_ - start);
    return whole ? convert<std::int64_t>(text) : convert<double>(text);
  }

  template <class Number>
  Json convert(std::string_view text) const {
    Number number{};
    auto const status = std::from_chars(text.data(), text.data() + text.size(), number).ec;
    if (status != std::errc{}) refuse("number ", quoted(text), " does not fit 64 bits");
    return number;
  }

  std::string_view text_;
  std::string_view source_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
};

}  // namespace dchag::detail

namespace dchag {

inline Json Json::parse(std::string_view text, std::string_view source, JsonLimits limits) {
  return detail::JsonParser(text, source, limits).document();
}

}  // namespace dchag
