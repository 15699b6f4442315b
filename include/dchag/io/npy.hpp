#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <dchag/io/detail/npy_header.hpp>
#include <dchag/io/dtype.hpp>
#include <filesystem>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// A .npy file (versions 1 to 3) open for reading, in C or fortran order, of little-endian integers of 8 to 64 bits,
/// float, double, half floats or bools. Elements are read as float or double, or as their own type (bools as
/// std::uint8_t). Every Error names the file. One thread at a time may read from one object.
class NpyFile {
 public:
  /// Throws Error where the file cannot be opened, its header is not to the letter of the format, or the data are not
  /// exactly as long as it says.
  explicit NpyFile(std::filesystem::path const& path) : input_(path) {
    std::string const source = path.string();
    std::string const preamble = read_text(0, 8);
    require(preamble.starts_with("\x93NUMPY"), source, ": is not a .npy file");
    auto const major = static_cast<unsigned char>(preamble[6]), minor = static_cast<unsigned char>(preamble[7]);
    require(major >= 1 && major <= 3 && minor == 0, source, ": has .npy version ", +major, '.', +minor,
            ", expected 1.0, 2.0 or 3.0");
    std::uint32_t length = 0;  // stored in 2 bytes by version 1, in 4 bytes since
    std::size_t const length_bytes = major == 1 ? 2 : 4;
    input_.read_at(8, std::as_writable_bytes(std::span(&length, 1)).first(length_bytes));
    constexpr std::uint32_t longest = 1u << 20;
    require(length <= longest, source, ": the header claims ", length, " bytes, at most ", longest, " are allowed");
    data_begin_ = 8 + length_bytes + length;
    header_ = detail::NpyHeaderReader(read_text(8 + length_bytes, length), source).read();
    auto const bytes = detail::array_bytes(header_.shape, bytes_of(header_.dtype));
    require(bytes.has_value(), source, ": shape ", detail::shape_text(header_.shape), " exceeds 64 bits");
    require(*bytes == input_.size() - data_begin_, source, ": ", detail::npy_descr(header_.dtype), " of shape ",
            detail::shape_text(header_.shape), " has ", *bytes, " bytes, but the file holds ",
            input_.size() - data_begin_);
    size_ = *bytes / bytes_of(header_.dtype);
  }

  std::filesystem::path const& path() const { return input_.path(); }
  std::vector<std::size_t> const& shape() const { return header_.shape; }
  std::size_t size() const { return size_; }
  Dtype dtype() const { return header_.dtype; }
  bool fortran_order() const { return header_.fortran_order; }

  /// Bytes of elements read so far, the header not counted.
  std::uint64_t bytes_read() const { return bytes_read_; }

  /// Reads the whole array in row-major order, whatever its order in the file.
  template <class T>
  void read(std::span<T> values) {
    check<T>(values.size(), size_);
    std::size_t next = 0;
    if (!header_.fortran_order) return for_each<T>(0, size_, [&](T value) { values[next++] = value; });

    auto const& shape = header_.shape;
    std::vector<std::size_t> index(shape.size(), 0), stride(shape.size(), 1);
    for (std::size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
    for_each<T>(0, size_, [&](T value) {
      values[next] = value;
      for (std::size_t d = 0; d < shape.size(); ++d) {
        next += stride[d];
        if (++index[d] < shape[d]) break;
        next -= stride[d] * std::exchange(index[d], 0);
      }
    });
  }

  template <class T>
  std::vector<T> read() {
    std::vector<T> values(size_);
    read(std::span<T>(values));
    return values;
  }

  /// Reads channels first .. first + count of an array [rows, cols, channels] as [count, rows, cols], row-major. In
  /// fortran order only the bytes of these channels are read; in C order, where every pixel holds all of them, all are.
  template <class T>
  void read_channels(std::size_t first, std::size_t count, std::span<T> values) {
    auto const& shape = header_.shape;
    require(shape.size() == 3, path().string(), ": has shape ", detail::shape_text(shape),
            ", but channels are read from [rows, cols, channels]");
    std::size_t const rows = shape[0], cols = shape[1], channels = shape[2], pixels = rows * cols;
    require(first <= channels && count <= channels - first, path().string(), ": has ", channels, " channels, but ",
            count, " from channel ", first, " are asked for");
    check<T>(values.size(), count * pixels);
    if (header_.fortran_order) {
      std::size_t row = 0, column = 0, plane = 0;
      for_each<T>(first * pixels, count * pixels, [&](T value) {
        values[plane + row * cols + column] = value;
        if (++row < rows) return;
        row = 0;
        if (++column < cols) return;
        column = 0;
        plane += pixels;
      });
    } else {
      std::size_t pixel = 0, channel = 0;
      for_each<T>(0, size_, [&](T value) {
        if (channel >= first && channel - first < count) values[(channel - first) * pixels + pixel] = value;
        if (++channel < channels) return;
        channel = 0;
        ++pixel;
      });
    }
  }

 private:
  std::string read_text(std::uint64_t offset, std::size_t bytes) const {
    require(bytes <= input_.size(), path().string(), ": is ", input_.size(), " bytes long, its header alone is longer");
    std::string text(bytes, '\0');
    input_.read_at(offset, std::as_writable_bytes(std::span(text)));
    return text;
  }

  template <class T>
  void check(std::size_t given, std::size_t expected) const {
    require(decodes_to<T>(header_.dtype), path().string(), ": holds ", name_of(header_.dtype),
            " elements, which cannot be read as ", name_of(dtype_of<T>()));
    require(given == expected, path().string(), ": ", expected, " elements are asked for, but there is room for ",
            given);
  }

  /// Calls use(value) for count elements from the first, in the order of the file, through a buffer of 1 MiB.
  template <class T, class Use>
  void for_each(std::size_t first, std::size_t count, Use use) {
    std::size_t const width = bytes_of(header_.dtype), chunk = (std::size_t{1} << 20) / width;
    std::vector<std::byte> buffer(std::min(chunk, count) * width);
    for (std::size_t done = 0; done < count; done += chunk) {
      auto const bytes = std::span(buffer).first(std::min(chunk, count - done) * width);
      input_.read_at(data_begin_ + (first + done) * width, bytes);
      bytes_read_ += bytes.size();
      decode<T>(header_.dtype, bytes, use);
    }
  }

  detail::InputFile input_;
  detail::NpyHeader header_;
  std::uint64_t data_begin_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::size_t size_ = 0;
};

/// Writes an array in C order as .npy version 1, aside and renamed. Values are any contiguous range of float, double or
/// an integer type. Throws Error where their number does not match the shape or the system refuses (full disk).
template <std::ranges::contiguous_range Values>
void write_npy(std::filesystem::path const& path, std::vector<std::size_t> const& shape, Values const& values) {
  using T = std::ranges::range_value_t<Values>;
  std::span<T const> const elements(std::ranges::data(values), std::ranges::size(values));
  auto const bytes = detail::array_bytes(shape, sizeof(T));
  require(shape.size() <= 64, path.string(), ": shape has ", shape.size(), " dimensions, at most 64 can be written");
  require(bytes && *bytes == elements.size_bytes(), path.string(), ": shape ", detail::shape_text(shape),
          " does not match ", elements.size(), " elements");
  std::string text =
      "{'descr': '" + std::string(detail::npy_descr(dtype_of<T>())) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t const extent : shape) text += std::to_string(extent) + ", ";
  text += "), }";
  constexpr std::size_t preamble = 10, alignment = 64;
  text.append(alignment - 1 - (preamble + text.size()) % alignment, ' ');
  text += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += {static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  head += text;

  AtomicFile file(path);
  file.write(std::as_bytes(std::span(head)));
  file.write(std::as_bytes(elements));
  file.commit();
}

}  // namespace dchag
