#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <limits>
#include <span>
#include <vector>

namespace dchag::detail {

/// Reads the header of a file in one of the classic formats of NetCDF (CDF-1, 2 and 5) for where its variables end: the
/// C library answers zeros for what is missing behind the end of a shortened file. The layout is that of "The NetCDF
/// classic format specification".
class ClassicNetcdf {
 public:
  /// Throws Error where a file that begins as a classic one is shorter than its header says; does nothing for others.
  static void check_length(InputFile const& file) {
    std::array<char, 4> magic{};
    if (file.size() < magic.size()) return;
    file.read_at(0, std::as_writable_bytes(std::span(magic)));
    if (magic[0] != 'C' || magic[1] != 'D' || magic[2] != 'F') return;
    if (magic[3] != 1 && magic[3] != 2 && magic[3] != 5) return;
    std::uint64_t const needed = ClassicNetcdf(file, magic[3]).end();
    require(needed <= file.size(), file.path().string(), ": is shortened: it has ", file.size(),
            " bytes, but its variables end at byte ", needed);
  }

 private:
  static constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();

  ClassicNetcdf(InputFile const& file, int version) : file_(file), version_(version) {}

  /// Whole numbers that cannot overflow: what is too large is `most`.
  static std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return a > most - b ? most : a + b; }
  static std::uint64_t product(std::uint64_t a, std::uint64_t b) { return b != 0 && a > most / b ? most : a * b; }
  static std::uint64_t padded(std::uint64_t bytes) { return std::min(most, sum(bytes, 3) / 4 * 4); }

  std::uint64_t integer(std::size_t bytes) {
    std::array<unsigned char, 8> digits{};
    file_.read_at(at_, std::as_writable_bytes(std::span(digits)).first(bytes));
    at_ += bytes;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | digits[i];
    return std::min(value, most);
  }
  std::uint64_t count() { return integer(version_ == 5 ? 8 : 4); }
  void skip(std::uint64_t bytes) { at_ = sum(at_, padded(bytes)); }
  void skip_name() { skip(count()); }

  static std::uint64_t bytes_of(std::uint64_t type) {
    constexpr std::array<std::uint64_t, 12> bytes{0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8};
    return type < bytes.size() ? bytes[type] : 0;
  }

  std::uint64_t list_length() {
    integer(4);  // its tag
    return count();
  }

  void skip_attributes() {
    for (std::uint64_t left = list_length(); left > 0; --left) {
      skip_name();
      std::uint64_t const type = integer(4);
      skip(product(count(), bytes_of(type)));
    }
  }

  /// The first byte behind the variables.
  std::uint64_t end() {
    std::uint64_t const records = count();
    std::vector<std::uint64_t> lengths;
    for (std::uint64_t left = list_length(); left > 0; --left) {
      skip_name();
      lengths.push_back(count());
    }
    skip_attributes();
    std::uint64_t end = 0, record = 0, last_record = 0, record_variables = 0, plain_record = 0;
    for (std::uint64_t left = list_length(); left > 0; --left) {
      skip_name();
      std::uint64_t bytes = 1;
      bool varies = false;
      std::uint64_t const rank = count();
      for (std::uint64_t d = 0; d < rank; ++d) {
        std::uint64_t const number = count();
        require(number < lengths.size(), file_.path().string(), ": its header names a dimension ", number, " of ",
                lengths.size());
        if (d == 0 && lengths[number] == 0)
          varies = true;
        else
          bytes = product(bytes, lengths[number]);
      }
      skip_attributes();
      bytes = product(bytes, bytes_of(integer(4)));
      count();  // the length that it claims, which large variables cannot state
      std::uint64_t const begin = integer(version_ == 1 ? 4 : 8), behind = sum(begin, bytes);
      if (!varies) end = std::max(end, behind);
      if (!varies) continue;
      ++record_variables;
      record = sum(record, padded(bytes));
      plain_record = bytes;
      last_record = std::max(last_record, behind);
    }
    bool const streaming = records == (version_ == 5 ? most : 0xFFFFFFFFu);
    if (record_variables == 1) record = plain_record;  // the only one is not padded
    if (record_variables > 0 && records > 0 && !streaming)
      end = std::max(end, sum(last_record, product(records - 1, record)));
    return end;
  }

  InputFile const& file_;
  int version_;
  std::uint64_t at_ = 4;
};

}  // namespace dchag::detail
