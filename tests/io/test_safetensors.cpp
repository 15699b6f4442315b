#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <dchag/io/safetensors.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

/// A file of a header, said to be as long as it is, and data_bytes zeros.
std::string file_of(std::string_view header, std::size_t data_bytes) {
  return little_endian(header.size(), 8) + std::string(header) + std::string(data_bytes, '\0');
}

std::string refusal(std::filesystem::path const& path) {
  return error_of([&] { SafetensorsFile file(path); });
}

std::string const valid_header =
    R"({"__metadata__":{"dchag.config":"{\"embed\":8}"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("n":{"dtype":"I64","shape":[],"data_offsets":[24,32]},"e":{"dtype":"U8","shape":[4,0],"data_offsets":[24,24]}})";

TEST_CASE("tensors and metadata come back as they were written, in whatever order that was") {
  Scratch scratch;
  auto const path = scratch / "model.safetensors";
  std::vector<float> const weights{1, -2.5f, 3e-40f, 4, 5, INFINITY};
  std::vector<double> const biases{0.1, -0.0};
  std::string const config = "{\"tree\":[\"\\u00e9\",\"\xE2\x82\xAC\n\"]}";
  {
    SafetensorsWriter writer(path, {{"dchag.config", config}, {"step", "12"}},
                             {{"flags", Dtype::BOOL, {3}},
                              {"weights", Dtype::F32, {2, 3}},
                              {"name \"\\\n", Dtype::F64, {2}},
                              {"count", Dtype::I64, {}},
                              {"empty", Dtype::F32, {0, 5}}});
    writer.write("count", std::vector<std::int64_t>{-7});
    writer.write("weights", std::span<float const>(weights));
    writer.write("empty", std::vector<float>{});
    writer.write_bytes("flags", std::as_bytes(std::span("\1\0\1", 3)));
    writer.write("name \"\\\n", biases);
    CHECK_FALSE(std::filesystem::exists(path));
    writer.commit();
  }
  CHECK(scratch.entries() == 1);
  SafetensorsFile const file(path);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"dchag.config", config}, {"step", "12"}});
  CHECK(file.tensors().size() == 5);
  CHECK(file.at("weights").shape == std::vector<std::size_t>{2, 3});
  CHECK(file.read<float>("weights") == weights);
  CHECK(file.read<double>("name \"\\\n") == biases);
  CHECK(std::signbit(file.read<double>("name \"\\\n")[1]));
  CHECK(file.read<std::int64_t>("count") == std::vector<std::int64_t>{-7});
  CHECK(file.read<std::uint8_t>("flags") == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(file.read<float>("empty").empty());
  CHECK(file.find("none") == nullptr);
}

TEST_CASE("data begin at a multiple of 8 bytes and every tensor at one of its element") {
  Scratch scratch;
  for (std::string const name : {"a", "ab", "abc", "abcd", "abcdefgh"}) {
    auto const path = scratch / name;
    SafetensorsWriter writer(path, {}, {{name, Dtype::U8, {3}}, {"half", Dtype::F16, {1}}, {"wide", Dtype::F64, {1}}});
    writer.write(name, std::vector<std::uint8_t>{1, 2, 3});
    writer.write_bytes("half", std::vector<std::byte>(2));
    writer.write("wide", std::vector<double>{1});
    writer.commit();
    SafetensorsFile const file(path);
    CHECK(file.tensors()[0].begin % 8 == 0);
    for (auto const& tensor : file.tensors()) CHECK(tensor.begin % bytes_of(tensor.dtype) == 0);
  }
}

TEST_CASE("floating-point tensors are read as float or double, whatever they are stored as") {
  Scratch scratch;
  auto const path = scratch / "file";
  std::vector<double> wide(300'001);
  std::vector<float> narrow(wide.size());
  for (std::size_t i = 0; i < wide.size(); ++i) {
    wide[i] = std::sin(static_cast<double>(i));
    narrow[i] = static_cast<float>(wide[i]);
  }
  SafetensorsWriter writer(
      path, {},
      {{"wide", Dtype::F64, {wide.size()}}, {"narrow", Dtype::F32, {wide.size()}}, {"brain", Dtype::BF16, {2}}});
  writer.write("wide", wide);
  writer.write("narrow", narrow);
  writer.write_bytes("brain", std::as_bytes(std::span("\x80\x3F\x00\xC0", 4)));
  writer.commit();
  SafetensorsFile const file(path);
  CHECK(file.read<float>("wide") == narrow);
  CHECK(file.read<double>("narrow") == std::vector<double>(narrow.begin(), narrow.end()));
  CHECK(file.read<double>("brain") == std::vector<double>{1, -2});
}

TEST_CASE("rows and bytes of a tensor are read on their own") {
  Scratch scratch;
  auto const path = scratch / "file";
  SafetensorsWriter writer(path, {}, {{"first", Dtype::F32, {1}}, {"t", Dtype::F32, {3, 2}}, {"s", Dtype::F32, {}}});
  writer.write("first", std::vector<float>{9});
  writer.write("t", std::vector<float>{0, 1, 2, 3, 4, 5});
  writer.write("s", std::vector<float>{7});
  writer.commit();
  SafetensorsFile const file(path);
  std::vector<float> two(4);
  file.read_rows("t", 1, 2, std::span(two));
  CHECK(two == std::vector<float>{2, 3, 4, 5});
  std::vector<double> one(2);
  file.read_rows("t", 0, 1, std::span(one));
  CHECK(one == std::vector<double>{0, 1});
  file.read_rows("t", 3, 0, std::span<float>());
  float value = 0;
  file.read_bytes("t", 16, std::as_writable_bytes(std::span(&value, 1)));
  CHECK(value == 4);

  auto const rows = [&](char const* name, std::size_t first, std::size_t count, std::size_t room) {
    std::vector<float> values(room);
    return error_of([&] { file.read_rows(name, first, count, std::span(values)); });
  };
  std::string const tensor = path.string() + ": tensor \"t\" (F32 [3, 2]): ";
  CHECK(rows("t", 2, 2, 4) == tensor + "asked for 2 rows from row 2, it has 3");
  CHECK(holds(rows("t", 1, ~std::size_t{0}, 4), "it has 3"));
  CHECK(rows("t", 0, 2, 3) == tensor + "2 rows have 4 elements, read as 3");
  CHECK(holds(rows("s", 0, 1, 1), "is a scalar, it has no rows"));
  CHECK(holds(error_of([&] { file.read_bytes("t", 24, std::as_writable_bytes(std::span(&value, 1))); }), "it has 24"));
}

TEST_CASE("a tensor is not read as something else") {
  Scratch scratch;
  auto const path = scratch / "file";
  spew(path, file_of(valid_header, 32));
  SafetensorsFile const file(path);
  CHECK(file.metadata().at("dchag.config") == "{\"embed\":8}");
  CHECK(file.tensors().size() == 3);
  std::string const n = path.string() + ": tensor \"n\" (I64 []): ";
  CHECK(error_of([&] { file.read<double>("n"); }) == n + "cannot be read as F64");
  CHECK(error_of([&] { file.read<std::int32_t>("n"); }) == n + "cannot be read as I32");
  CHECK(holds(error_of([&] { file.read<std::int32_t>("w"); }), "cannot be read as I32"));
  CHECK(error_of([&] { file.read<float>("none"); }) == path.string() + ": tensor \"none\": is not in the file");
  std::vector<float> five(5);
  CHECK(error_of([&] { file.read("w", std::span(five)); }) ==
        path.string() + ": tensor \"w\" (F32 [2, 3]): has 6 elements, read as 5");
}

struct Hostile {
  std::string header;
  std::size_t data_bytes;
  std::string expected;  // what the message must say
};

void check_refused(std::vector<Hostile> const& files) {
  Scratch scratch;
  auto const path = scratch / "hostile.safetensors";
  for (auto const& file : files) {
    auto const shown = file.header.substr(0, 200);
    CAPTURE(shown);
    spew(path, file_of(file.header, file.data_bytes));
    std::string const message = refusal(path);
    CAPTURE(message);
    CHECK(message.starts_with(path.string() + ": "));
    CHECK(holds(message, file.expected));
    CHECK(message.size() < 1000);
  }
}

std::string entry(std::string const& fields) { return "{\"t\":{" + fields + "}}"; }
std::string tensor(std::string const& dtype, std::string const& shape, std::string const& offsets) {
  return entry("\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets);
}
std::string const u = R"("dtype":"U8","shape":[4],"data_offsets":)";

TEST_CASE("a header that is not the JSON of the format is refused with the file and what is wrong") {
  check_refused({
      {"", 0, "does not begin with '{'"},
      {" {}", 0, "does not begin with '{'"},
      {"[]", 0, "does not begin with '{'"},
      {"{", 0, "JSON at byte 1"},
      {"{}x", 0, "JSON at byte 2"},
      {std::string("{}\0", 3), 0, "JSON at byte 2"},
      {"{\"t\":", 0, "unexpected end of input"},
      {R"({"t":[[[[]]]]})", 0, "deeper than 3 levels"},
      {"{\"t\":" + std::string(1'000'000, '['), 0, "deeper than 3 levels"},
      {"{\"t\":" + std::string(1'000'000, '{'), 0, "JSON at byte"},
      {"{\"t\":{" + u + "[0,4]},\"t\":{" + u + "[4,8]}}", 8, "\"t\" stands twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "\"__metadata__\" stands twice"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "\"a\" stands twice"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__ \"a\" is not a string"},
      {R"({"__metadata__":{"a":{"b":"c"}}})", 0, "__metadata__ \"a\" is not a string"},
      {"{\"__metadata__\":{\"a\":\"\xFF\"}}", 0, "ill-formed UTF-8"},
  });
}

TEST_CASE("a tensor whose dtype or shape is hostile is refused with the file and its name") {
  check_refused({
      {R"({"t":1})", 0, "\"t\": its entry is not an object"},
      {R"({"t":{}})", 0, "dtype is missing"},
      {tensor("1", "[4]", "[0,4]"), 4, "dtype is missing or not a string"},
      {tensor("\"F31\"", "[4]", "[0,4]"), 4, "unknown dtype \"F31\""},
      {tensor("\"f32\"", "[1]", "[0,4]"), 4, "unknown dtype \"f32\""},
      {entry(R"("dtype":"U8","data_offsets":[0,4])"), 4, "shape is missing"},
      {entry(R"("dtype":"U8","shape":[4])"), 4, "data_offsets is missing"},
      {entry(u + "[0,4],\"extra\":1"), 4, "unknown field \"extra\""},
      {tensor("\"U8\"", "4", "[0,4]"), 4, "shape is missing or not an array"},
      {tensor("\"U8\"", "[-4]", "[0,4]"), 4, "shape holds something other than non-negative integers"},
      {tensor("\"U8\"", "[4.0]", "[0,4]"), 4, "shape holds something other than"},
      {tensor("\"U8\"", "[\"4\"]", "[0,4]"), 4, "shape holds something other than"},
      {tensor("\"U8\"", "[null]", "[0,4]"), 4, "shape holds something other than"},
      {tensor("\"U8\"", "[18446744073709551620]", "[0,4]"), 4, "does not fit 64 bits"},
      {tensor("\"U8\"", "[4294967296,4294967296,4294967297]", "[0,4]"), 4, "exceeds 64 bits"},
      {tensor("\"F64\"", "[2305843009213693952]", "[0,0]"), 0, "exceeds 64 bits"},   // 2^61 * 8 wraps to 0
      {tensor("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "exceeds 64 bits"},  // 2^64 wraps to 0
  });
}

TEST_CASE("offsets that do not cover the data exactly once are refused with the file and the tensor") {
  check_refused({
      {tensor("\"U8\"", "[4]", "[]"), 4, "data_offsets holds 0 numbers"},
      {tensor("\"U8\"", "[4]", "[0]"), 4, "data_offsets holds 1 numbers"},
      {tensor("\"U8\"", "[4]", "[0,4,8]"), 4, "data_offsets holds 3 numbers"},
      {tensor("\"U8\"", "[4]", "[-4,0]"), 4, "data_offsets holds something other than"},
      {tensor("\"U8\"", "[4]", "[4,0]"), 4, "data_offsets are reversed"},
      {tensor("\"U8\"", "[4]", "[0,5]"), 5, "data_offsets span 5 bytes, but U8 of shape [4] has 4"},
      {tensor("\"F32\"", "[4]", "[0,4]"), 4, "F32 of shape [4] has 16"},
      {tensor("\"U8\"", "[0]", "[0,4]"), 4, "has 0"},
      {tensor("\"U8\"", "[4]", "[1,5]"), 4, "end at 5, but the data are 4 bytes long"},
      {tensor("\"U8\"", "[9223372036854775807]", "[0,9223372036854775807]"), 4, "but the data are 4 bytes long"},
      {tensor("\"U8\"", "[4]", "[9223372036854775803,9223372036854775807]"), 4, "but the data are 4 bytes long"},
      {tensor("\"U8\"", "[4]", "[1,5]"), 5, "leave a hole"},
      {tensor("\"U8\"", "[4]", "[0,4]"), 5, "1 bytes at the end belong to no tensor"},
      {tensor("\"U8\"", "[0]", "[3,3]"), 4, "leave a hole"},
      {"{\"t\":{" + u + "[0,4]},\"v\":{" + u + "[0,4]}}", 4, "\"v\": data_offsets overlap"},
      {"{\"t\":{" + u + "[0,4]},\"v\":{" + u + "[3,7]}}", 7, "\"v\": data_offsets overlap"},
      {"{\"t\":{" + u + "[0,4]},\"v\":{" + u + "[5,9]}}", 9, "\"v\": data_offsets leave a hole"},
      {R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"v":{)" + u + "[0,4]}}", 4,
       "\"t\": data_offsets overlap"},
      {"{}", 1, "1 bytes at the end belong to no tensor"},
  });
}

TEST_CASE("a length that the file does not have is refused before anything is allocated") {
  Scratch scratch;
  auto const path = scratch / "hostile.safetensors";
  CHECK(refusal(path) == path.string() + ": no such file");
  CHECK(holds(refusal(scratch / ""), "is not a regular file"));
  for (std::size_t bytes : {0u, 1u, 7u}) {
    spew(path, std::string(bytes, 'x'));
    CHECK(holds(refusal(path), std::to_string(bytes) + " bytes long, a safetensors file has at least 8"));
  }
  for (std::uint64_t const length : {std::uint64_t{3}, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    spew(path, little_endian(length, 8) + "{}");
    CHECK(refusal(path) ==
          path.string() + ": the header claims " + std::to_string(length) + " bytes, but the file is 10 bytes long");
  }
  spew(path, little_endian(100'000'001, 8));
  std::filesystem::resize_file(path, 200'000'000);
  CHECK(holds(refusal(path), "the header claims 100000001 bytes, at most 100000000 are allowed"));
}

TEST_CASE("a file cut anywhere is refused") {
  Scratch scratch;
  auto const path = scratch / "cut.safetensors";
  std::string const whole = file_of(valid_header, 32);
  spew(path, whole);
  REQUIRE(refusal(path).empty());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    spew(path, whole.substr(0, bytes));
    CHECK(refusal(path).starts_with(path.string()));
  }
}

TEST_CASE("a damaged file is read or refused, never more") {
  Scratch scratch;
  auto const path = scratch / "damaged.safetensors";
  std::string const whole = file_of(valid_header, 32);
  std::string const symbols = "{}[]\",:0123456789-.eE\\u \n\xFF\x80tfn_";
  std::mt19937 random(20240607);
  auto const below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  int readable = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (std::size_t edits = 1 + below(4); edits-- > 0;) {
      std::size_t const at = below(bytes.size());
      char const symbol = below(2) == 0 ? symbols[below(symbols.size())] : static_cast<char>(below(256));
      switch (below(4)) {
        case 0:
          bytes[at] = symbol;
          break;
        case 1:
          bytes.erase(at, 1 + below(4));
          break;
        case 2:
          bytes.insert(at, 1, symbol);
          break;
        default: {
          std::size_t const from = below(bytes.size());
          bytes.insert(at, bytes.substr(from, below(20)));
        }
      }
      if (bytes.empty()) bytes = "x";
    }
    if (below(2) == 0 && bytes.size() > 40) bytes.replace(0, 8, little_endian(bytes.size() - 40, 8));
    spew(path, bytes);
    std::string const message = error_of([&] {
      SafetensorsFile const file(path);
      for (auto const& tensor : file.tensors()) {
        std::vector<std::byte> data(static_cast<std::size_t>(tensor.bytes()));
        file.read_bytes(tensor.name, 0, data);
      }
    });
    readable += message.empty();
    if (!message.empty()) CHECK(message.starts_with(path.string()));
  }
  CHECK(readable > 0);
  CHECK(readable < 1000);
}

TEST_CASE("files beyond 4 GiB are read at their end") {
  Scratch scratch;
  auto const path = scratch / "large.safetensors";
  std::uint64_t const rows = (std::uint64_t{1} << 29) + 1, bytes = rows * 16;
  std::string const header = R"({"t":{"dtype":"F64","shape":[)" + std::to_string(rows) + R"(,2],"data_offsets":[0,)" +
                             std::to_string(bytes) + "]}}";
  spew(path, file_of(header, 0));
  std::filesystem::resize_file(path, 8 + header.size() + bytes - 16);  // a hole, no bytes on the disk
  {
    std::ofstream out(path, std::ios::binary | std::ios::app);
    double const last[] = {1.5, -2.5};
    out.write(reinterpret_cast<char const*>(last), sizeof(last));
  }
  SafetensorsFile const file(path);
  std::vector<float> row(2);
  file.read_rows("t", rows - 1, 1, std::span(row));
  CHECK(row == std::vector<float>{1.5f, -2.5f});
}

}  // namespace
}  // namespace dchag::tests
