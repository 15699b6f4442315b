#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// clang 15 crashes on the members of nlohmann::json, compiled for a HIP device, unless it has been asked this before.
static_assert(!std::is_copy_assignable_v<std::pair<std::string const, nlohmann::json>>);

namespace dchag {

/// What parse_json accepts at most, so that a hostile text exhausts neither the stack nor the memory.
struct JsonLimits {
  std::size_t depth = 32;          // of arrays and objects inside one another
  std::size_t values = 1'000'000;  // in the whole text
};

namespace detail {

/// Makes a value of what nlohmann's parser, which does not recurse, finds in a text. Refuses what that parser lets
/// pass: a byte order mark, what follows a zero byte, names that repeat, integers that become doubles, excess.
class JsonReader {
 public:
  using Json = nlohmann::ordered_json;

  JsonReader(std::string_view text, std::string_view source, JsonLimits limits)
      : text_(text), source_(source), limits_(limits) {}

  Json read() {
    if (text_.starts_with("\xEF\xBB\xBF")) refuse("expected a value, not a byte order mark");
    // What Json::sax_parse calls; that one would have every user compile its readers of binary formats too.
    nlohmann::detail::parser<Json, Input>(Input{text_, &read_}).sax_parse(this);
    if (read_ <= text_.size()) refuse("expected nothing more");
    return std::move(root_);
  }

  // What the parser calls.
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) {
    if (!std::in_range<std::int64_t>(value)) refuse("number ", value, " does not fit 64 bits");
    return add(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, std::string const& text) {
    if (text.find_first_of(".eE") == text.npos) refuse("number ", quoted(text), " does not fit 64 bits");
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::value_t::object); }
  bool start_array(std::size_t) { return open(Json::value_t::array); }
  bool key(std::string& name) {
    members().emplace_back(std::move(name), nullptr);
    return true;
  }
  bool end_object() {
    std::vector<std::string_view> names;
    for (auto const& member : members()) names.push_back(member.first);
    std::sort(names.begin(), names.end());
    auto const repeated = std::adjacent_find(names.begin(), names.end());
    if (repeated != names.end()) refuse("name ", quoted(*repeated), " stands twice in one object");
    return end_array();
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, std::string const&, nlohmann::detail::exception const& error) {
    std::string_view what = error.what();
    what.remove_prefix(what.find("] ") + 2);
    refuse(what.substr(0, std::min(what.find("; last read"), std::size_t{200})));
  }

 private:
  /// What the parser reads from: counts the bytes.
  struct Input {
    using char_type = char;
    std::string_view text;
    std::size_t* read;

    int get_character() {
      std::size_t const at = (*read)++;
      return at < text.size() ? static_cast<unsigned char>(text[at]) : std::char_traits<char>::eof();
    }
  };

  template <class... Parts>
  [[noreturn]] void refuse(Parts const&... parts) const {
    fail(source_, ": JSON at byte ", read_ > 0 ? read_ - 1 : 0, ": ", parts...);
  }

  Json::object_t& members() { return open_.back()->get_ref<Json::object_t&>(); }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json::value_t kind) {
    if (open_.size() == limits_.depth) refuse("deeper than ", limits_.depth, " levels");
    open_.push_back(&place(kind));
    return true;
  }

  /// At the end of the innermost array or object that is not closed yet.
  Json& place(Json value) {
    if (++values_ > limits_.values) refuse("more than ", limits_.values, " values");
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_object()) return members().back().second = std::move(value);
    return open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
  }

  std::string_view text_, source_;
  JsonLimits limits_;
  std::size_t read_ = 0, values_ = 0;
  Json root_;
  std::vector<Json*> open_;  // only the last one grows: the others stay where they are
};

}  // namespace detail
}  // namespace dchag
