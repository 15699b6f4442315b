#include <doctest/doctest.h>

#include <cstdint>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "full_disk.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

/// A .npy file of a header text and elements, of version 1, 2 or 3.
std::string file_of(std::string const& header, std::string_view data, int version = 1) {
  return "\x93NUMPY" + little_endian(static_cast<unsigned>(version), 2) +
         little_endian(header.size(), version == 1 ? 2 : 4) + header + std::string(data);
}

std::string header_of(std::string const& descr, bool fortran_order, std::string const& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran_order ? "True" : "False") + ", 'shape': " + shape +
         ", }\n";
}

template <class T>
std::string stored(std::vector<T> const& values) {
  return {reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)};
}

/// The cube [3, 4, 5] whose element (row, column, channel) is 100 row + 10 column + channel, as uint16.
std::string cube(bool fortran_order) {
  std::vector<std::uint16_t> values(60);
  for (std::size_t r = 0; r < 3; ++r) {
    for (std::size_t c = 0; c < 4; ++c) {
      for (std::size_t k = 0; k < 5; ++k) {
        std::size_t const place = fortran_order ? r + 3 * (c + 4 * k) : (r * 4 + c) * 5 + k;
        values[place] = static_cast<std::uint16_t>(100 * r + 10 * c + k);
      }
    }
  }
  return file_of(header_of("<u2", fortran_order, "(3, 4, 5)"), stored(values));
}

std::string refusal(std::filesystem::path const& path) {
  return error_of([&] { NpyFile file(path); });
}

TEST_CASE("an array comes back as it was written, its data at a multiple of 64 bytes") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  for (std::vector<std::size_t> const& shape :
       {std::vector<std::size_t>{}, {1}, {7}, {2, 3}, {2, 1, 3}, {2, 0}, {1, 1, 1, 1, 1, 2}}) {
    std::size_t size = 1;
    for (std::size_t const extent : shape) size *= extent;
    std::vector<double> values(size);
    for (std::size_t i = 0; i < size; ++i) values[i] = 0.1 * static_cast<double>(i);
    write_npy(path, shape, values);
    NpyFile file(path);
    CHECK(file.shape() == shape);
    CHECK(file.size() == size);
    CHECK(file.dtype() == Dtype::F64);
    CHECK_FALSE(file.fortran_order());
    CHECK(file.read<double>() == values);
    CHECK((std::filesystem::file_size(path) - 8 * size) % 64 == 0);
  }
  CHECK(scratch.entries() == 1);
  CHECK(holds(error_of([&] {
                write_npy(path, {2, 2}, std::vector<float>(3));
              }),
              path.string() + ": shape [2, 2] does not match 3 elements"));
}

TEST_CASE("every element type and version is read") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  auto const check = [&](std::string const& descr, auto const& values) {
    for (int const version : {1, 2, 3}) {
      spew(path, file_of(header_of(descr, false, "(2,)"), stored(values), version));
      CAPTURE(descr);
      NpyFile file(path);
      CHECK(file.read<double>() == std::vector<double>(values.begin(), values.end()));
      CHECK(file.read<typename std::decay_t<decltype(values)>::value_type>() == values);
    }
  };
  check("|u1", std::vector<std::uint8_t>{0, 255});
  check("|b1", std::vector<std::uint8_t>{0, 1});
  check("|i1", std::vector<std::int8_t>{-128, 127});
  check("<u2", std::vector<std::uint16_t>{955, 65535});
  check("<i2", std::vector<std::int16_t>{-32768, 1});
  check("<u4", std::vector<std::uint32_t>{0, 4294967295});
  check("<i4", std::vector<std::int32_t>{-2147483647, 1});
  check("<i8", std::vector<std::int64_t>{-5, 1'000'000'000'000});
  check("<u8", std::vector<std::uint64_t>{5, 1'000'000'000'000});
  check("<f4", std::vector<float>{0.1f, -1});
  check("<f8", std::vector<double>{0.1, -1});
  CHECK(holds(error_of([&] { NpyFile(path).read<std::uint8_t>(); }), "holds F64 elements, which cannot be read as U8"));
}

TEST_CASE("both orders of the same array give the same row-major values") {
  Scratch scratch;
  spew(scratch / "c.npy", cube(false));
  spew(scratch / "f.npy", cube(true));
  NpyFile c(scratch / "c.npy"), f(scratch / "f.npy");
  CHECK(f.fortran_order());
  auto const values = f.read<float>();
  CHECK(values == c.read<float>());
  CHECK(values[(1 * 4 + 2) * 5 + 3] == 123);
  spew(scratch / "m.npy", file_of(header_of("|u1", true, "(2, 3)"), "\1\2\3\4\5\6"));
  CHECK(NpyFile(scratch / "m.npy").read<float>() == std::vector<float>{1, 3, 5, 2, 4, 6});
}

TEST_CASE("channels cost their own bytes, in both orders") {
  Scratch scratch;
  for (bool const fortran_order : {true, false}) {
    CAPTURE(fortran_order);
    spew(scratch / "cube.npy", cube(fortran_order));
    NpyFile file(scratch / "cube.npy");
    std::vector<float> values(2 * 12);
    file.read_channels(1, 2, std::span(values));
    CHECK(file.bytes_read() == 2u * 12 * 2);
    CHECK(file.header_bytes() == std::filesystem::file_size(scratch / "cube.npy") - 60 * 2);
    for (std::size_t k = 0; k < 2; ++k) {
      for (std::size_t r = 0; r < 3; ++r) {
        for (std::size_t c = 0; c < 4; ++c) {
          CHECK(values[(k * 3 + r) * 4 + c] == static_cast<float>(100 * r + 10 * c + k + 1));
        }
      }
    }
    file.read_channels(5, 0, std::span<float>());
    auto const ask = [&](std::size_t first, std::size_t count, std::size_t room) {
      std::vector<float> out(room);
      return error_of([&] { file.read_channels(first, count, std::span(out)); });
    };
    CHECK(holds(ask(4, 2, 24), "has 5 channels, but 2 from channel 4 are asked for"));
    CHECK(holds(ask(1, ~std::size_t{0}, 24), "has 5 channels"));
    CHECK(holds(ask(0, 2, 23), "24 elements are asked for, but there is room for 23"));
  }
  write_npy(scratch / "flat.npy", {4}, std::vector<float>(4));
  std::vector<float> out(4);
  CHECK(holds(error_of([&] { NpyFile(scratch / "flat.npy").read_channels(0, 1, std::span(out)); }), "shape [4]"));
}

TEST_CASE("arrays larger than the buffer are read through it") {
  Scratch scratch;
  std::size_t const rows = 70, cols = 50, channels = 301;  // 4 MB of floats, in lengths that no power of two divides
  std::vector<float> values(rows * cols * channels);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_npy(scratch / "c.npy", {rows, cols, channels}, values);
  spew(scratch / "f.npy", file_of(header_of("<f4", true, "(301, 50, 70)"), stored(values)));
  NpyFile c(scratch / "c.npy"), f(scratch / "f.npy");
  CHECK(c.read<float>() == values);
  std::vector<float> some(3 * rows * cols), plane(rows * cols);
  c.read_channels(298, 3, std::span(some));
  CHECK(some[rows * cols - 1] == values[(rows * cols - 1) * channels + 298]);
  CHECK(some.back() == values.back());
  std::vector<double> slab(2 * channels * cols);
  f.read_channels(60, 2, std::span(slab));  // [2, 301, 50]
  CHECK(slab[channels * cols + 7 * cols + 9] == values[(61 * cols + 9) * channels + 7]);
  CHECK(f.bytes_read() == slab.size() * 4);
}

TEST_CASE("a hostile header is refused with the file and what is wrong") {
  Scratch scratch;
  auto const path = scratch / "hostile.npy";
  auto const with_shape = [](std::string const& shape) { return header_of("|u1", false, shape); };
  std::vector<std::tuple<std::string, std::string>> const table{
      {"", "expected '{'"},
      {"[]", "expected '{'"},
      {"{}", "is missing"},
      {"{'descr': '<f4'}", "is missing"},
      {"{'descr': '<f4', 'descr': '<f4'}", "\"descr\" is unknown or stands twice"},
      {"{'extra': 1}", "\"extra\" is unknown"},
      {"{descr: '<f4'}", "expected a string in quotes"},
      {"{'descr", "a string is not closed"},
      {"{'descr' '<f4'}", "expected ':'"},
      {header_of(">f4", false, "(4,)"), "descr \">f4\" is not read: convert it to little-endian"},
      {header_of("|O", false, "(4,)"), "is not read"},
      {header_of("<f3", false, "(4,)"), "is not read"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "structured arrays are not read"},
      {"{'descr': '|u1', 'fortran_order': 0, 'shape': (4,)}", "expected True or False"},
      {"{'descr': '|u1' 'fortran_order': False, 'shape': (4,)}", "expected '}'"},
      {with_shape("4"), "expected '('"},
      {with_shape("(4)"), "ends with a comma"},
      {with_shape("(-4,)"), "shape holds something other than integers"},
      {with_shape("(4.0,)"), "expected ',' or ')'"},
      {with_shape("(2 2)"), "expected ',' or ')'"},
      {with_shape("(,)"), "shape holds something other than"},
      {with_shape("(2,,2)"), "shape holds something other than"},
      {with_shape("(4,"), "shape holds something other than"},
      {with_shape("(18446744073709551620,)"), "of 0 to 64 bits"},
      {with_shape("(4294967296, 4294967296, 4294967297)"), "exceeds 64 bits"},
      {with_shape("(4294967296, 4294967296)"), "exceeds 64 bits"},
      {header_of("<f8", true, "(2305843009213693952,)"), "exceeds 64 bits"},
      {with_shape("(1000000000000,)"), "has 1000000000000 bytes, but the file holds 4"},
      {with_shape("(5,)"), "has 5 bytes, but the file holds 4"},
      {with_shape("(3,)"), "has 3 bytes, but the file holds 4"},
      {with_shape("(4,)") + "x", "expected nothing more"},
      {with_shape("(" +
                  [] {
                    std::string ones;
                    for (int i = 0; i < 65; ++i) ones += "1, ";
                    return ones;
                  }() +
                  ")"),
       "more than 64 dimensions"},
  };
  for (auto const& [header, expected] : table) {
    std::string const text = header;
    CAPTURE(text);
    for (int const version : {1, 2, 3}) {
      spew(path, file_of(header, "\1\2\3\4", version));
      std::string const message = refusal(path);
      CAPTURE(message);
      CHECK(message.starts_with(path.string() + ": "));
      CHECK(holds(message, expected));
    }
  }
}

TEST_CASE("what is no .npy file, or says to be longer than it is, is refused") {
  Scratch scratch;
  auto const path = scratch / "hostile.npy";
  auto const with = [&](std::string_view bytes) {
    spew(path, bytes);
    return refusal(path);
  };
  CHECK(refusal(scratch / "none.npy") == (scratch / "none.npy").string() + ": no such file");
  CHECK(holds(with("PNG and more"), "is not a .npy file"));
  CHECK(holds(with(file_of(header_of("|u1", false, "(4,)"), "1234", 4)), "has .npy version 4.0"));
  CHECK(holds(with("\x93NUMPY\x01\x01 and more"), "has .npy version 1.1"));
  CHECK(holds(with("\x93NUMPY\x02" + std::string("\0\xFF\xFF\xFF\xFF{}", 7)), "the header claims 4294967295 bytes"));
  CHECK(holds(with("\x93NUMPY\x02" + std::string("\0\xFF\xFF\0\0{}", 7)), "its header alone is longer"));
  std::string const whole = file_of(header_of("<u2", true, "(2, 1)"), "1234");
  CHECK(with(whole).empty());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    CHECK(with(std::string_view(whole).substr(0, bytes)).starts_with(path.string()));
  }
}

TEST_CASE("a damaged file is read or refused, never more") {
  Scratch scratch;
  auto const path = scratch / "damaged.npy";
  std::string const whole = file_of(header_of("<u2", true, "(2, 1, 3)"), "abcdefghijkl");
  std::string const symbols = "{}()',:0123456789-TrueFalse<|fiub ";
  std::mt19937 random(20240608);
  auto const below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  int readable = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (std::size_t edits = 1 + below(3); edits-- > 0;) {
      char const symbol = below(3) > 0 ? symbols[below(symbols.size())] : static_cast<char>(below(256));
      std::size_t const at = below(bytes.size());
      if (below(3) > 0) {
        bytes[at] = symbol;
      } else {
        bytes.insert(at, 1, symbol);
      }
    }
    if (bytes.size() > 22) bytes[8] = static_cast<char>(bytes.size() - 22);
    spew(path, bytes);
    std::string const message = error_of([&] {
      NpyFile file(path);
      file.read<double>();
    });
    readable += message.empty();
    if (!message.empty()) CHECK(message.starts_with(path.string()));
  }
  CHECK(readable > 0);
  CHECK(readable < 1500);
}

TEST_CASE("a full disk leaves the old array") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  write_npy(path, {2}, std::vector<float>{1, 2});
  std::string message;
  {
    FullDisk disk(1000);
    message = error_of([&] { write_npy(path, {1000}, std::vector<float>(1000)); });
  }
  CHECK(holds(message, path.string() + ": cannot be written at byte 1000"));
  CHECK(NpyFile(path).read<float>() == std::vector<float>{1, 2});
  CHECK(scratch.entries() == 1);
}

}  // namespace
}  // namespace dchag::tests
