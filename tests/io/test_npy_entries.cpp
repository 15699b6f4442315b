#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

using Shape = std::vector<std::size_t>;

/// Bytes and calls of read and pread in this process, as the system counts them, those of asking not included; nothing
/// where it does not.
struct SystemReads {
  std::uint64_t bytes, calls;
  static std::optional<SystemReads> now() {
    static SystemReads asked{0, 0};
    int const file = ::open("/proc/self/io", O_RDONLY);
    if (file < 0) return {};
    std::array<char, 1024> text{};
    auto const length = ::read(file, text.data(), text.size() - 1);
    ::close(file);
    unsigned long long bytes = 0, calls = 0;
    if (length <= 0 || std::sscanf(text.data(), "rchar: %llu wchar: %*u syscr: %llu", &bytes, &calls) != 2) return {};
    SystemReads const reads{bytes - asked.bytes, calls - asked.calls};
    asked.bytes += static_cast<std::uint64_t>(length);
    ++asked.calls;
    return reads;
  }
};

std::size_t product(Shape const& shape) {
  std::size_t count = 1;
  for (std::size_t const extent : shape) count *= extent;
  return count;
}

/// The element of a multi-index, in elements from the first one.
std::size_t offset(Shape const& shape, Shape const& index, bool fortran_order) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::size_t const d = fortran_order ? shape.size() - 1 - i : i;
    at = at * shape[d] + index[d];
  }
  return at;
}

/// An array of that shape whose elements are their places in the file modulo 251.
void write_array(std::filesystem::path const& path, Shape const& shape, bool fortran_order) {
  std::vector<std::int16_t> values(product(shape));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i % 251);
  write_npy(path, shape, values);
  if (!fortran_order) return;
  std::string bytes = slurp(path);
  bytes.replace(bytes.find("False,"), 6, "True, ");
  spew(path, bytes);
}

/// What read_entries must give, and the elements of the file that it has to touch.
struct Expected {
  std::vector<float> values;
  std::multiset<std::size_t> elements;
  std::size_t runs = 0;

  Expected(Shape const& shape, bool fortran_order, std::vector<AxisEntries> const& chosen) {
    std::vector<std::vector<std::size_t>> lists(shape.size());
    for (std::size_t d = 0; d < shape.size(); ++d)
      for (std::size_t i = 0; i < shape[d]; ++i) lists[d].push_back(i);
    for (auto const& [axis, entries] : chosen) lists[axis].assign(entries.begin(), entries.end());
    Shape index(shape.size());
    collect(shape, fortran_order, lists, index, 0);
    std::size_t last = ~std::size_t{0} - 1;
    for (std::size_t const element : elements) {
      runs += element != last + 1;
      last = element;
    }
  }

  void collect(Shape const& shape, bool fortran_order, std::vector<std::vector<std::size_t>> const& lists, Shape& index,
               std::size_t d) {
    if (d == shape.size()) {
      elements.insert(offset(shape, index, fortran_order));
      values.push_back(static_cast<float>(offset(shape, index, fortran_order) % 251));
      return;
    }
    for (std::size_t const entry : lists[d]) {
      index[d] = entry;
      collect(shape, fortran_order, lists, index, d + 1);
    }
  }
};

void check(std::filesystem::path const& path, Shape const& shape, bool fortran_order,
           std::vector<AxisEntries> const& chosen, bool each_once = true) {
  NpyFile file(path);
  Expected const expected(shape, fortran_order, chosen);
  std::vector<float> values(expected.values.size());
  auto const before = SystemReads::now();
  file.read_entries(chosen, std::span(values));
  auto const after = SystemReads::now();
  CHECK(values == expected.values);
  CHECK(file.bytes_read() == 2 * values.size());
  if (!before || !after) return;
  CHECK(after->bytes - before->bytes == 2 * values.size());
  if (each_once) CHECK(after->calls - before->calls == expected.runs);
}

TEST_CASE("entries of any axis are read by offset, their own bytes alone, what stands together in one read") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  for (bool const fortran_order : {false, true}) {
    CAPTURE(fortran_order);
    Shape const shape{3, 7, 4, 5};
    write_array(path, shape, fortran_order);
    for (std::size_t axis = 0; axis < 4; ++axis) {
      CAPTURE(axis);
      std::int64_t const last = static_cast<std::int64_t>(shape[axis]) - 1;
      check(path, shape, fortran_order, {{axis, {1}}});
      check(path, shape, fortran_order, {{axis, {1, 2}}});
      check(path, shape, fortran_order, {{axis, {0, 2}}});              // strided
      check(path, shape, fortran_order, {{axis, {last, 0}}});           // in any order, and side by side across blocks
      check(path, shape, fortran_order, {{axis, {2, 1, 0}}});           // read together, delivered in reverse
      check(path, shape, fortran_order, {{axis, {1, 1, 0}}}, false);    // one twice
      check(path, shape, fortran_order, {{axis, std::vector<int>{}}});  // a rank without channels
    }
    check(path, shape, fortran_order, {});
    check(path, shape, fortran_order, {{0, {2, 0}}, {1, {6, 2, 3}}});
    check(path, shape, fortran_order, {{3, {4}}, {0, {1}}});
    check(path, shape, fortran_order, {{1, {0, 1, 2, 3, 4, 5, 6}}, {2, {1, 2}}});
  }
}

TEST_CASE("seeded shapes, orders and lists give what a plain loop does") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  std::mt19937 random(7);
  auto const below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    Shape shape(1 + below(5));
    for (auto& extent : shape) extent = 1 + below(6);
    bool const fortran_order = below(2) == 0;
    write_array(path, shape, fortran_order);
    std::vector<AxisEntries> chosen;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (below(2) == 0) continue;
      std::vector<std::size_t> entries;
      for (std::size_t i = 0; i < shape[axis]; ++i)
        if (below(3) > 0) entries.push_back(i);
      if (below(2) == 0) std::shuffle(entries.begin(), entries.end(), random);
      chosen.emplace_back(axis, entries);
    }
    CAPTURE(round);
    check(path, shape, fortran_order, chosen);
  }
}

TEST_CASE("the ranks of a group read every byte once between them") {
  Scratch scratch;
  auto const path = scratch / "weather.npy";
  struct Range {
    std::int64_t begin, count;
  };
  for (bool const fortran_order : {false, true}) {
    write_array(path, {2, 11, 6, 8}, fortran_order);  // samples, channels, rows, columns
    std::uint64_t bytes = 0;
    std::vector<std::vector<Range>> const of_ranks{{{0, 4}}, {{4, 2}, {9, 2}}, {}, {{6, 3}}};
    for (auto const& channels : of_ranks) {
      NpyFile file(path);
      auto const values = file.read_entries<double>({{1, channels}});
      std::size_t count = 0;
      for (auto const& range : channels) count += static_cast<std::size_t>(range.count);
      CHECK(values.size() == 2 * count * 48);
      CHECK(file.bytes_read() == 2 * values.size());
      bytes += file.bytes_read();
    }
    CHECK(bytes == 2 * 2 * 11 * 48);
    CHECK(bytes + NpyFile(path).header_bytes() == std::filesystem::file_size(path));
  }
}

TEST_CASE("channels of an image come first, from a list or from ranges") {
  Scratch scratch;
  auto const path = scratch / "image.npy";
  for (bool const fortran_order : {false, true}) {
    write_array(path, {3, 4, 9}, fortran_order);
    std::vector<double> listed(3 * 12), ranged(3 * 12);
    NpyFile file(path);
    file.read_channels(std::vector<int>{7, 2, 3}, std::span(listed));
    file.read_channels(std::vector{AxisRange{7, 1}, AxisRange{2, 2}}, std::span(ranged));
    CHECK(listed == ranged);
    CHECK(file.bytes_read() == 2 * 2 * 36);
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 4; ++c)
        CHECK(listed[(1 * 3 + r) * 4 + c] == static_cast<double>(offset({3, 4, 9}, {r, c, 2}, fortran_order) % 251));
  }
}

TEST_CASE("the axes of the result stand in the order that is asked for") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  for (bool const fortran_order : {false, true}) {
    Shape const shape{3, 4, 5};
    write_array(path, shape, fortran_order);
    NpyFile file(path);
    std::vector<float> values(2 * 3 * 4);
    file.read_entries({{2, {4, 1}}}, std::span(values), {1, 2, 0});
    std::size_t at = 0;
    for (std::size_t b = 0; b < 4; ++b)
      for (std::size_t const c : {4u, 1u})
        for (std::size_t a = 0; a < 3; ++a)
          CHECK(values[at++] == static_cast<float>(offset(shape, {a, b, c}, fortran_order) % 251));
    for (auto const& order : {Shape{0, 1}, Shape{0, 1, 1}, Shape{0, 1, 3}, Shape{0, 1, 2, 3}}) {
      CHECK(holds(error_of([&] { file.read_entries({}, std::span(values), order); }),
                  "the 3 axes cannot be read in the order [0, 1"));
    }
  }
}

TEST_CASE("a selection beyond the buffer is read through it, exactly") {
  Scratch scratch;
  auto const path = scratch / "large.npy";
  Shape const shape{3, 5, 300001};
  write_array(path, shape, false);
  NpyFile file(path);
  auto const values = file.read_entries<float>({{1, {4, 0, 1}}});
  REQUIRE(values.size() == 3 * 3 * 300001);
  CHECK(file.bytes_read() == 2 * values.size());
  for (std::size_t const s : {0, 2})
    for (std::size_t const i : {0, 299999})
      for (std::size_t const k : {0, 1, 2})
        CHECK(values[(s * 3 + k) * 300001 + i] ==
              static_cast<float>(((s * 5 + std::array<std::size_t, 3>{4, 0, 1}[k]) * 300001 + i) % 251));
}

TEST_CASE("an entry that is not there is named with the extent, and nothing is read") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  write_array(path, {3, 7}, false);
  NpyFile file(path);
  auto const ask = [&](std::vector<AxisEntries> const& chosen) {
    return error_of([&] { file.read_entries<float>(chosen); });
  };
  CHECK(ask({{1, {0, 7}}}) == path.string() + ": has 7 entries along axis 1, but entry 7 is asked for");
  CHECK(ask({{0, {-1}}}) == path.string() + ": has 3 entries along axis 0, but entry -1 is asked for");
  CHECK(ask({{2, {0}}}) == path.string() + ": has shape [3, 7], but entries of axis 2 are asked for");
  CHECK(ask({{0, {1}}, {0, {2}}}) == path.string() + ": entries of axis 0 are asked for twice: give one list");
  std::vector<float> room(13);
  CHECK(holds(error_of([&] {
                file.read_entries({{0, {1, 2}}}, std::span(room));
              }),
              "14 elements are asked for, but there is room for 13"));
  CHECK(holds(error_of([&] { file.read_entries<std::int32_t>({{0, {1}}}); }), "holds I16 elements"));
  CHECK(file.bytes_read() == 0);
}

TEST_CASE("an empty array of a hostile shape has no entries, and takes no memory") {
  Scratch scratch;
  auto const path = scratch / "empty.npy";
  std::string const header =
      "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 4611686018427387904, 4611686018427387904), }\n";
  spew(path, "\x93NUMPY" + little_endian(1, 2) + little_endian(header.size(), 2) + header);
  NpyFile file(path);
  CHECK(file.read<float>().empty());
  CHECK(file.read_entries<float>({{1, {5, 4611686018427387903}}}).empty());
  CHECK(holds(error_of([&] { file.read_entries<float>({{0, {0}}}); }), "has 0 entries along axis 0, but entry 0"));
}

TEST_CASE("a file that becomes shorter while it is open is an error, for what is missing alone") {
  Scratch scratch;
  auto const path = scratch / "array.npy";
  write_array(path, {4, 100}, false);
  NpyFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 150);
  CHECK(file.read_entries<float>({{0, {0, 2}}}).size() == 200);
  CHECK(holds(error_of([&] { file.read_entries<float>({{0, {3}}}); }), "became shorter while it was read"));
}

}  // namespace
}  // namespace dchag::tests
