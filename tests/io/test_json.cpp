#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <dchag/io/json.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

Json parse(std::string_view text) { return parse_json(text, "text"); }
std::string refusal(std::string_view text, JsonLimits limits = {}) {
  return error_of([&] { parse_json(text, "text", limits); });
}

TEST_CASE("a model configuration comes back as it was written") {
  Json const config{
      {"model", "masked_autoencoder"},
      {"embed", 512},
      {"ratio", 0.75},
      {"bias", true},
      {"seed", nullptr},
      {"tree", {{{"unit", "linear"}, {"groups", 32}}, Json::array(), Json::object()}},
  };
  std::string const text = dump_json(config);
  CHECK(text == R"({"model":"masked_autoencoder","embed":512,"ratio":0.75,"bias":true,"seed":null,)"
                R"("tree":[{"unit":"linear","groups":32},[],{}]})");
  CHECK(parse(text) == config);
  CHECK(dump_json(parse(text)) == text);
}

TEST_CASE("members are read as what they are, or refused by name") {
  Json const json = parse(R"({"n": 12, "big": 300, "minus": -1, "x": 1.5, "t": "text", "b": false, "a": [1]})");
  CHECK(json_get<int>(json, "n") == 12);
  CHECK(json_get<double>(json, "n") == 12.0);
  CHECK(json_get<double>(json, "x") == 1.5);
  CHECK(json_get<std::string>(json, "t") == "text");
  CHECK(json_get<bool>(json, "b") == false);
  CHECK(json_array(json_at(json, "a"), "a").size() == 1);
  CHECK(json_get<int>(json, "none", 7) == 7);
  CHECK(json_get<int>(json, "n", 7) == 12);
  CHECK(error_of([&] { (void)json_get<int>(json, "none"); }) == "JSON: field \"none\" is missing");
  CHECK(error_of([&] { (void)json_get<int>(json, "x"); }) == "JSON: field \"x\" is a number, expected an integer");
  CHECK(error_of([&] { (void)json_get<bool>(json, "n", true); }) == "JSON: field \"n\" is an integer, expected a bool");
  CHECK(error_of([&] { (void)json_get<std::size_t>(json, "minus"); }) == "JSON: field \"minus\" = -1 is out of range");
  CHECK(holds(error_of([&] { (void)json_get<std::uint8_t>(json, "big"); }), "out of range"));
  CHECK(holds(error_of([&] { (void)json_object(json_at(json, "t"), "t"); }), "is a string, expected an object"));
}

TEST_CASE("numbers come back exactly, integers as integers and doubles as doubles") {
  for (std::int64_t const value : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min(), std::int64_t{1} << 53,
                                   std::numeric_limits<std::int64_t>::max()}) {
    Json const back = parse(dump_json(value));
    CHECK(json_to<std::int64_t>(back, "value") == value);
  }
  for (double const value : {0.0, -0.0, 1.0, 0.1, 1e22, 1e300, 5e-324, 2.2250738585072014e-308, 1.0 / 3}) {
    Json const back = parse(dump_json(value));
    CHECK(back.is_number_float());
    CHECK(json_to<double>(back, "value") == value);
    CHECK(std::signbit(json_to<double>(back, "value")) == std::signbit(value));
  }
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(dump_json(std::uint64_t{12}) == "12");
  CHECK(holds(error_of([] { dump_json(infinity); }), "only finite"));
  CHECK(holds(error_of([] { dump_json({{"a", {1.0, {{"b", infinity}}}}}); }), "only finite"));
  CHECK(holds(error_of([] { dump_json(std::numeric_limits<std::uint64_t>::max()); }), "does not fit"));
}

TEST_CASE("strings come back whatever is in them") {
  for (int code = 0; code < 128; ++code) {
    std::string const text(1, static_cast<char>(code));
    CHECK(parse(dump_json(text)) == Json(text));
  }
  std::string const text = "\xC3\xA9 \xE2\x82\xAC \xF0\x9D\x84\x9E \"\\/";
  CHECK(parse(dump_json(text)) == Json(text));
  CHECK(dump_json("a\n\x01\"") == R"("a\n\u0001\"")");
  CHECK(holds(error_of([] { dump_json("caf\xE9"); }), "UTF-8"));
  CHECK(holds(error_of([] { dump_json({{"caf\xE9", 1}}); }), "UTF-8"));
}

TEST_CASE("escapes stand for their characters") {
  CHECK(parse(R"("\"\\\/\b\f\n\r\t")") == Json("\"\\/\b\f\n\r\t"));
  CHECK(parse(R"("\u0041\u00e9\u20AC\uD834\udd1e")") == Json("A\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E"));
  CHECK(parse(R"("\u0000")") == Json(std::string(1, '\0')));
}

TEST_CASE("what is not JSON to the letter is refused with its place") {
  for (std::string_view const text : {
           "",
           " ",
           "{",
           "}",
           "[",
           "[1",
           "[1,",
           "[1,]",
           "[,]",
           "{,}",
           "{\"a\"}",
           "{\"a\":}",
           "{\"a\":1,}",
           "{a:1}",
           "{'a':1}",
           "{\"a\":1 \"b\":2}",
           "[1 2]",
           "1 2",
           "[] x",
           "nul",
           "True",
           "NaN",
           "-",
           "+1",
           "01",
           "-01",
           ".5",
           "1.",
           "1.e5",
           "1e",
           "1e+",
           "0x10",
           "--1",
           "\"",
           "\"a",
           "\"\\",
           "\"\\x\"",
           "\"\\u12\"",
           "\"\\u12G4\"",
           "\"\\u-123\"",
           "\"\\uD834\"",
           "\"\\uDD1E\"",
           "\"\\uD834x\"",
           "\"\\uD834\\u0041\"",
           "\"\n\"",
           "\"\t\"",
           "\"\x80\"",
           "\"\xC0\xAF\"",
           "\"\xE0\x80\x80\"",
           "\"\xED\xA0\x80\"",
           "\"\xF4\x90\x80\x80\"",
           "\"\xF5\"",
           "\"\xC3",
           "// note\n1",
           "/* note */ 1",
           "\xEF\xBB\xBF{}",
           "9223372036854775808",
           "-9223372036854775809",
           "-18446744073709551616",
           "18446744073709551616",
           "1e999",
       }) {
    CAPTURE(text);
    CHECK(holds(refusal(text), "text: JSON at byte "));
  }
  for (std::string_view const text :
       {std::string_view("\0", 1), std::string_view("1\0", 2), std::string_view("1\0x", 3)})
    CHECK(holds(refusal(text), "text: JSON at byte "));
  CHECK(holds(refusal("[1, x]"), "text: JSON at byte 4: parse error at line 1, column 5: "));
  CHECK(refusal("{\"a\": 1, \"b\": 2, \"a\": 3}") == "text: JSON at byte 23: name \"a\" stands twice in one object");
  CHECK(holds(refusal(R"([{"a": 1, "\u0061": 2}])"), "name \"a\" stands twice"));
  CHECK(refusal(R"([{"a": 1}, {"a": {"a": 1}}])").empty());
  CHECK(refusal(std::string(1'000'000, 'a').replace(0, 1, 1, '"')).size() < 300);
}

TEST_CASE("depth and number of values are bounded") {
  CHECK(refusal("[[[]]]", {.depth = 3}).empty());
  CHECK(holds(refusal("[[[[]]]]", {.depth = 3}), "deeper than 3 levels"));
  CHECK(holds(refusal(R"({"a":{"b":{"c":{}}}})", {.depth = 3}), "deeper than 3 levels"));
  CHECK(holds(refusal(std::string(1'000'000, '[')), "deeper than 32 levels"));
  CHECK(refusal("[1,2,3]", {.values = 4}).empty());
  CHECK(holds(refusal("[1,2,3,4]", {.values = 4}), "more than 4 values"));
}

}  // namespace
}  // namespace dchag::tests
