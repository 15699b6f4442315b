#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <dchag/io/detail/npy_header.hpp>
#include <dchag/io/detail/selection.hpp>
#include <dchag/io/dtype.hpp>
#include <filesystem>
#include <initializer_list>
#include <numeric>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// Some entries of an axis that stand side by side.
struct AxisRange {
  std::size_t begin, count;
};

/// Entries of one axis of an array, in the order in which they are wanted.
struct AxisEntries {
  std::size_t axis;
  std::vector<std::int64_t> entries;

  AxisEntries(std::size_t of_axis, std::initializer_list<std::int64_t> list) : axis(of_axis), entries(list) {}

  /// From a list of indices, or of ranges: of anything that has a begin and a count.
  template <std::ranges::input_range List>
  AxisEntries(std::size_t of_axis, List const& list) : axis(of_axis) {
    for (auto const& item : list) {
      if constexpr (requires { item.begin + item.count; }) {
        for (auto i = item.begin; i != item.begin + item.count; ++i) entries.push_back(static_cast<std::int64_t>(i));
      } else {
        entries.push_back(static_cast<std::int64_t>(item));
      }
    }
  }
};

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

  /// Bytes of elements read so far, and of the header, which is not among them.
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t header_bytes() const { return data_begin_; }

  /// Reads the whole array in row-major order, whatever its order in the file.
  template <class T>
  void read(std::span<T> values) {
    check<T>(values.size(), size_);
    std::size_t next = 0;
    if (!header_.fortran_order) return for_each<T>(0, size_, [&](T value) { values[next++] = value; });

    read_selection(selection({}, {}), values);
  }

  template <class T>
  std::vector<T> read() {
    std::vector<T> values(size_);
    read(std::span<T>(values));
    return values;
  }

  /// Reads some entries of one axis or of several, and all of the others, in row-major order: what array[:, [3, 5]] is
  /// to numpy, {{1, {3, 5}}} is here. No byte of another entry is read. What stands together in the file is read
  /// together: entries of the slow axes (the first ones in C order, the last ones in fortran order) are cheap, those of
  /// the fastest one cost a read for each run of them. Throws Error where an entry is not in the array.
  ///
  /// The axes of the result may stand in another order: its i-th axis is then the array's axis order[i], as in numpy's
  /// transpose.
  template <class T>
  void read_entries(std::vector<AxisEntries> const& chosen, std::span<T> values,
                    std::vector<std::size_t> const& order = {}) {
    read_selection(selection(chosen, order), values);
  }

  template <class T>
  std::vector<T> read_entries(std::vector<AxisEntries> const& chosen) {
    auto const axes = selection(chosen, {});
    std::vector<T> values(count_of(axes));
    read_selection(axes, std::span<T>(values));
    return values;
  }

  /// Throws what reading them would, and reads nothing.
  void check_entries(std::vector<AxisEntries> const& chosen) const { selection(chosen, {}); }

  /// Reads channels of an image [rows, cols, channels] as [those channels, rows, cols], row-major, and no other byte.
  /// The channels are a list of indices or of ranges, see AxisEntries.
  template <class T, std::ranges::input_range Channels>
  void read_channels(Channels const& channels, std::span<T> values) {
    check_image();
    read_entries({{2, channels}}, values, {2, 0, 1});
  }

  /// Channels first .. first + count.
  template <class T>
  void read_channels(std::size_t first, std::size_t count, std::span<T> values) {
    check_image();
    std::size_t const all = header_.shape[2];
    require(first <= all && count <= all - first, path().string(), ": has ", all, " channels, but ", count,
            " from channel ", first, " are asked for");
    read_channels(std::array{AxisRange{first, count}}, values);
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

  void check_image() const {
    require(header_.shape.size() == 3, path().string(), ": has shape ", detail::shape_text(header_.shape),
            ", but channels are read from [rows, cols, channels]");
  }

  /// The axes from the fastest to the slowest in the file, for a row-major result whose axes stand in that order.
  std::vector<detail::SelectedAxis> selection(std::vector<AxisEntries> const& chosen,
                                              std::vector<std::size_t> order) const {
    std::vector<detail::SelectedAxis> axes;
    for (std::size_t const extent : header_.shape) axes.push_back({extent, 0});
    for (auto const& [axis, entries] : chosen) choose(axes, axis, entries);

    std::vector<std::size_t> identity(axes.size());
    std::iota(identity.begin(), identity.end(), std::size_t{0});
    if (order.empty()) order = identity;
    require(std::is_permutation(order.begin(), order.end(), identity.begin(), identity.end()), path().string(),
            ": the ", axes.size(), " axes cannot be read in the order ", detail::shape_text(order));
    std::size_t stride = 1;
    for (auto d = order.rbegin(); d != order.rend(); ++d) {
      auto& axis = axes[*d];
      axis.stride = stride;
      stride *= axis.count();
      if (axis.listed) axis = detail::SelectedAxis::of(axis.extent, axis.entries, axis.stride);
    }
    if (!header_.fortran_order) std::reverse(axes.begin(), axes.end());
    return axes;
  }

  void choose(std::vector<detail::SelectedAxis>& axes, std::size_t d, std::vector<std::int64_t> const& entries) const {
    require(d < axes.size(), path().string(), ": has shape ", detail::shape_text(header_.shape),
            ", but entries of axis ", d, " are asked for");
    auto& axis = axes[d];
    require(!axis.listed, path().string(), ": entries of axis ", d, " are asked for twice: give one list");
    for (std::int64_t const entry : entries) {
      require(entry >= 0 && static_cast<std::size_t>(entry) < axis.extent, path().string(), ": has ", axis.extent,
              " entries along axis ", d, ", but entry ", entry, " is asked for");
    }
    axis.listed = true;
    axis.entries.assign(entries.begin(), entries.end());
  }

  static std::size_t count_of(std::vector<detail::SelectedAxis> const& axes) {
    std::size_t count = 1;
    for (auto const& axis : axes) count *= axis.count();
    return count;
  }

  template <class T>
  void read_selection(std::vector<detail::SelectedAxis> const& axes, std::span<T> values) {
    check<T>(values.size(), count_of(axes));
    if (values.empty()) return;
    detail::Walk walk(axes);
    detail::for_each_run(axes, [&](std::size_t first, std::size_t run) {
      for_each<T>(first, run, [&](T value) {
        values[walk.place()] = value;
        walk.advance();
      });
    });
  }

  /// Calls use(value) for count elements from the first, in the order of the file, through a buffer of at most 1 MiB.
  template <class T, class Use>
  void for_each(std::size_t first, std::size_t count, Use use) {
    std::size_t const width = bytes_of(header_.dtype), chunk = (std::size_t{1} << 20) / width;
    buffer_.resize(std::max(buffer_.size(), std::min(chunk, count) * width));
    for (std::size_t done = 0; done < count; done += chunk) {
      auto const bytes = std::span(buffer_).first(std::min(chunk, count - done) * width);
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
  std::vector<std::byte> buffer_;
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
