#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/dtype.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace dchag::detail {

struct NpyType {
  std::string_view descr;
  Dtype dtype;
};

inline constexpr std::array<NpyType, 12> npy_types{{{"|b1", Dtype::BOOL},
                                                    {"|u1", Dtype::U8},
                                                    {"|i1", Dtype::I8},
                                                    {"<i2", Dtype::I16},
                                                    {"<u2", Dtype::U16},
                                                    {"<f2", Dtype::F16},
                                                    {"<i4", Dtype::I32},
                                                    {"<u4", Dtype::U32},
                                                    {"<f4", Dtype::F32},
                                                    {"<i8", Dtype::I64},
                                                    {"<u8", Dtype::U64},
                                                    {"<f8", Dtype::F64}}};

inline std::string_view npy_descr(Dtype dtype) {
  auto const found = std::find_if(npy_types.begin(), npy_types.end(), [&](auto const& t) { return t.dtype == dtype; });
  require(found != npy_types.end(), name_of(dtype), " has no .npy type");
  return found->descr;
}

struct NpyHeader {
  Dtype dtype = Dtype::F64;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

/// Reads the header of a .npy file, a Python dictionary of exactly descr, fortran_order and shape, such as
/// {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }. Errors begin with source and name the byte of the text.
class NpyHeaderReader {
 public:
  NpyHeaderReader(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  NpyHeader read() {
    std::optional<Dtype> dtype;
    std::optional<bool> fortran_order;
    std::optional<std::vector<std::size_t>> shape;
    expect('{');
    while (!take('}')) {
      std::string_view const key = parse_string();
      expect(':');
      if (key == "descr" && !dtype) {
        dtype = parse_dtype();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = parse_bool();
      } else if (key == "shape" && !shape) {
        shape = parse_shape();
      } else {
        refuse("key ", quoted(key), " is unknown or stands twice");
      }
      if (take(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    if (at_ != text_.size()) refuse("expected nothing more");
    if (!dtype || !fortran_order || !shape) refuse("one of descr, fortran_order and shape is missing");
    return {*dtype, *fortran_order, std::move(*shape)};
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(Parts const&... parts) const {
    fail(source_, ": header at byte ", at_, ": ", parts...);
  }

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

  std::string_view parse_string() {
    char const quote = take('"') ? '"' : '\'';
    if (quote == '\'' && !take('\'')) refuse("expected a string in quotes");
    auto const end = text_.find(quote, at_);
    if (end == text_.npos) refuse("a string is not closed");
    std::size_t const begin = std::exchange(at_, end + 1);
    return text_.substr(begin, end - begin);
  }

  Dtype parse_dtype() {
    skip_space();
    if (text_.substr(at_, 1) == "[") refuse("structured arrays are not read: save one field of it as its own array");
    std::string_view const descr = parse_string();
    for (auto const& type : npy_types) {
      if (type.descr == descr) return type.dtype;
    }
    refuse("descr ", quoted(descr), " is not read: convert it to little-endian numbers, such as array.astype('<f4')");
  }

  bool parse_bool() {
    skip_space();
    for (auto const& [word, value] : {std::pair<std::string_view, bool>("True", true), {"False", false}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    refuse("expected True or False");
  }

  std::vector<std::size_t> parse_shape() {
    std::vector<std::size_t> shape;
    expect('(');
    bool comma = true;
    while (!take(')')) {
      if (!comma) refuse("expected ',' or ')'");
      skip_space();
      std::size_t extent = 0;
      auto const [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (status != std::errc{}) refuse("shape holds something other than integers of 0 to 64 bits");
      at_ = static_cast<std::size_t>(end - text_.data());
      shape.push_back(extent);
      if (shape.size() > 64) refuse("shape has more than 64 dimensions");
      comma = take(',');
    }
    if (shape.size() == 1 && !comma) refuse("a shape of one dimension ends with a comma");
    return shape;
  }

  std::string_view text_;
  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace dchag::detail
