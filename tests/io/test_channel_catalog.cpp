#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/channel_catalog.hpp>
#include <limits>

using namespace dchag;

namespace {

using List = std::vector<Channel>;
using Indices = std::vector<Index>;

List const fields{{"sst", "K"}, {"t", "K", 500.0}, {"red", "", {}, 645.0}};

std::string message_of(List const& model, List const& found, ChannelMatching const& options = {}) {
  try {
    match_channels(model, found, options);
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}
std::string message_of_list(List const& list, Index count) {
  try {
    check_channel_list("channel_list", list, count);
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}
std::string message_of_json(char const* text) {
  try {
    channels_from(parse_json(text, "test"), "channel_list");
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("channels are found by name, in any order") {
  CHECK(match_channels(fields, fields) == Indices{0, 1, 2});
  CHECK(match_channels(fields, {fields[2], fields[0], fields[1]}) == Indices{1, 2, 0});
  CHECK(match_channels({}, {}) == Indices{});
  CHECK(match_channels(fields, {{"red"}, {"t"}, {"sst"}}) == Indices{2, 1, 0});  // nothing else known of them
}

TEST_CASE("a missing channel is an error, or -1 where that is allowed") {
  List const found{fields[2], fields[0]};
  CHECK(match_channels(fields, found, {.allow_missing = true}) == Indices{1, -1, 0});
  CHECK(message_of(fields, found) ==
        "channels do not match: \"t\" is missing. Expected: \"sst\" [K], \"t\" [K, level 500], \"red\" [645 nm]. "
        "Found: \"red\" [645 nm], \"sst\" [K]");
  CHECK(has(message_of(fields, {}), "Found: none"));
}

TEST_CASE("a channel that the model does not know is an error, or passed over where that is said") {
  List const found{fields[0], {"land"}, fields[1], fields[2]};
  CHECK(has(message_of(fields, found), "\"land\" is not known to the model. Expected"));
  CHECK(has(message_of(fields, found, {.allow_missing = true}), "\"land\" is not known to the model"));
  CHECK(match_channels(fields, found, {.ignore_extra = true}) == Indices{0, 2, 3});
}

TEST_CASE("units, levels and wavelengths that differ are errors, where both are known") {
  ChannelMatching const lenient{true, true};
  CHECK(has(message_of(fields, {{"sst", "degC"}}, lenient), "\"sst\" is in \"K\" expected and \"degC\" found. Exp"));
  CHECK(has(message_of(fields, {{"t", "K", 850.0}}, lenient), "\"t\" is of level 500 expected and 850 found"));
  CHECK(has(message_of(fields, {{"red", "", {}, 650.0}}, lenient),
            "\"red\" is of wavelength 645 expected and 650 found"));
  CHECK(has(message_of(fields, {{"t", "C", 850.0}}, lenient), "in \"K\" expected and \"C\" found, of level 500"));
  CHECK(message_of(fields, {{"sst", "", 0.0}, {"t", "", 500.00001}}, lenient) == "");
}

TEST_CASE("a name that is there twice is an error on either side, and one message says all") {
  CHECK(has(message_of({{"a"}, {"a"}}, {{"a"}}), "\"a\" is expected more than once"));
  CHECK(has(message_of({{"a"}}, {{"a"}, {"a"}}, {true, true}), "\"a\" is found more than once"));
  auto const text = message_of(fields, {{"sst", "degC"}, {"sst"}, {"ice"}});
  for (char const* part : {"\"sst\" is found more than once", "\"t\" is missing", "\"red\" is missing",
                           "\"sst\" is in \"K\" expected", "\"ice\" is not known"})
    CHECK(has(text, part));
}

TEST_CASE("long lists are cut in messages") {
  List many;
  for (int c = 0; c < 1000; ++c) many.push_back({"band " + std::to_string(c)});
  auto const text = message_of(many, {});
  CHECK(text.size() < 3000);
  CHECK(has(text, "and 980 more"));
  CHECK(has(text, "and 940 more"));
}

TEST_CASE("channels come back from JSON as they were, and no field is an empty list") {
  List const list{{"a"}, {"b", "m s-1", 2.5}, {"c", "", {}, 412.5}, {"d", "K", 0.0, 1e-3}};
  Json const owner{{"channel_list", channels_json(list)}};
  CHECK(dump_json(channels_json(list)) ==
        R"([{"name":"a"},{"name":"b","unit":"m s-1","level":2.5},{"name":"c","wavelength":412.5},)"
        R"({"name":"d","unit":"K","level":0.0,"wavelength":0.001}])");
  CHECK(channels_from(parse_json(dump_json(owner), "test"), "channel_list") == list);
  CHECK(channels_from(owner, "other").empty());
}

TEST_CASE("lists that are none are refused") {
  CHECK(has(message_of_json(R"({"channel_list": 3})"), "\"channel_list\" is an integer, expected an array"));
  CHECK(has(message_of_json(R"({"channel_list": [{"unit": "K"}]})"), "\"name\" is missing"));
  CHECK(has(message_of_json(R"({"channel_list": ["a"]})"), "\"name\" is missing"));
  CHECK(has(message_of_json(R"({"channel_list": [{"name": "a", "level": "high"}]})"), "\"level\" is a string"));
  CHECK(message_of_list({}, 3) == "");
  CHECK(message_of_list(fields, 3) == "");
  CHECK(message_of_list(fields, 2) == "channel_list has 3 entries for 2 channels: name each, or none");
  CHECK(has(message_of_list({{"a"}, {""}}, 2), "channel_list: a channel has an empty name"));
  CHECK(has(message_of_list({{"a"}, {"a"}}, 2), "channel_list: \"a\" is named more than once: names must differ"));
}
