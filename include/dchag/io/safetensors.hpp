#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dchag/core/error.hpp>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <dchag/io/detail/output_file.hpp>
#include <dchag/io/detail/safetensors_header.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/json.hpp>
#include <filesystem>
#include <map>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace dchag {

/// A safetensors file open for reading. The header is read and checked once; tensors are read when asked for, straight
/// from their place in the file, by any number of threads. Every Error names the file, the tensor and what is wrong.
class SafetensorsFile {
 public:
  /// Throws Error where the file cannot be opened or its header is not to the letter of the format.
  explicit SafetensorsFile(std::filesystem::path const& path) : input_(path) {
    std::string const source = path.string();
    require(input_.size() >= 8, source, ": is ", input_.size(), " bytes long, a safetensors file has at least 8");
    std::uint64_t length = 0;
    input_.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
    require(length <= input_.size() - 8, source, ": the header claims ", length, " bytes, but the file is ",
            input_.size(), " bytes long");
    require(length <= detail::largest_safetensors_header, source, ": the header claims ", length,
            " bytes, at most 100000000 are allowed");
    std::string text(length, '\0');
    input_.read_at(8, std::as_writable_bytes(std::span(text)));
    header_ = detail::SafetensorsHeaderReader(source, 8 + length, input_.size() - 8 - length).read(text);
    for (auto const& tensor : header_.tensors) by_name_.emplace(tensor.name, &tensor);
  }

  std::filesystem::path const& path() const { return input_.path(); }

  std::map<std::string, std::string> const& metadata() const { return header_.metadata; }

  /// All tensors, in the order of their bytes in the file.
  std::vector<TensorInfo> const& tensors() const { return header_.tensors; }

  /// The tensor of that name, null pointer where there is none.
  TensorInfo const* find(std::string_view name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  /// The tensor of that name; throws Error where there is none.
  TensorInfo const& at(std::string_view name) const {
    TensorInfo const* tensor = find(name);
    require(tensor != nullptr, path().string(), ": tensor ", detail::quoted(name), ": is not in the file");
    return *tensor;
  }

  /// Reads a whole tensor, row-major. Floating-point tensors are given as float or double, whatever they are stored as
  /// (rounded to nearest where T is narrower); integers only as what they are, BOOL as std::uint8_t.
  template <class T>
  void read(std::string_view name, std::span<T> values) const {
    TensorInfo const& tensor = at(name);
    if (values.size() != tensor.size()) refuse(tensor, "has ", tensor.size(), " elements, read as ", values.size());
    read_elements(tensor, 0, values);
  }

  template <class T>
  std::vector<T> read(std::string_view name) const {
    std::vector<T> values(at(name).size());
    read(name, std::span<T>(values));
    return values;
  }

  /// Reads rows first_row .. first_row + rows of the tensor's first dimension, as read() does.
  template <class T>
  void read_rows(std::string_view name, std::size_t first_row, std::size_t rows, std::span<T> values) const {
    TensorInfo const& tensor = at(name);
    if (tensor.shape.empty()) refuse(tensor, "is a scalar, it has no rows");
    std::size_t const total = tensor.shape[0];
    if (first_row > total || rows > total - first_row) {
      refuse(tensor, "asked for ", rows, " rows from row ", first_row, ", it has ", total);
    }
    std::size_t const width = total == 0 ? 0 : tensor.size() / total;
    if (values.size() != rows * width)
      refuse(tensor, rows, " rows have ", rows * width, " elements, read as ", values.size());
    read_elements(tensor, first_row * width, values);
  }

  /// Reads elements of the row-major tensor from number `first` on, as read() does.
  template <class T>
  void read_elements(std::string_view name, std::size_t first, std::span<T> values) const {
    TensorInfo const& tensor = at(name);
    if (first > tensor.size() || values.size() > tensor.size() - first)
      refuse(tensor, "asked for ", values.size(), " elements from element ", first, ", it has ", tensor.size());
    read_elements(tensor, first, values);
  }

  /// Reads the stored bytes of a tensor of any dtype, beginning at offset within it.
  void read_bytes(std::string_view name, std::uint64_t offset, std::span<std::byte> bytes) const {
    TensorInfo const& tensor = at(name);
    if (offset > tensor.bytes() || bytes.size() > tensor.bytes() - offset) {
      refuse(tensor, "asked for ", bytes.size(), " bytes from byte ", offset, ", it has ", tensor.bytes());
    }
    input_.read_at(tensor.begin + offset, bytes);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(TensorInfo const& tensor, Parts const&... parts) const {
    fail(path().string(), ": tensor ", detail::quoted(tensor.name), " (", name_of(tensor.dtype), ' ',
         detail::shape_text(tensor.shape), "): ", parts...);
  }

  template <class T>
  void read_elements(TensorInfo const& tensor, std::size_t first, std::span<T> values) const {
    if (tensor.dtype == dtype_of<T>() || (tensor.dtype == Dtype::BOOL && std::same_as<T, std::uint8_t>)) {
      return input_.read_at(tensor.begin + first * sizeof(T), std::as_writable_bytes(values));
    }
    if (!std::floating_point<T> || !is_floating(tensor.dtype))
      refuse(tensor, "cannot be read as ", name_of(dtype_of<T>()));
    std::size_t const width = bytes_of(tensor.dtype), chunk = std::size_t{1} << 17;
    std::vector<std::byte> buffer(std::min(chunk, values.size()) * width);
    for (std::size_t done = 0; done < values.size();) {
      std::size_t const count = std::min(chunk, values.size() - done);
      std::span<std::byte> const bytes(buffer.data(), count * width);
      input_.read_at(tensor.begin + (first + done) * width, bytes);
      decode<T>(tensor.dtype, bytes, [&](T value) { values[done++] = value; });
    }
  }

  detail::InputFile input_;
  detail::SafetensorsHeader header_;
  std::map<std::string, TensorInfo const*, std::less<>> by_name_;  // into header_.tensors, whose storage never moves
};

/// Writes a safetensors file tensor by tensor, so that no more than one need be in memory: what it holds is said first,
/// then come the data in any order, then commit() puts the file in place. Without commit nothing appears and a file
/// that stood there stays as it was. Every Error names the file; one rank writes a file.
class SafetensorsWriter {
 public:
  struct Tensor {
    std::string name;
    Dtype dtype = Dtype::F32;
    std::vector<std::size_t> shape;
  };

  /// Lays the file out, wider elements first so that every tensor is aligned to its element. Throws Error for names
  /// that repeat, are empty or not UTF-8, and where the file cannot be created.
  SafetensorsWriter(std::filesystem::path path, std::map<std::string, std::string> const& metadata,
                    std::vector<Tensor> tensors)
      : file_(std::move(path)) {
    Json::object_t root;
    if (!metadata.empty()) root.emplace_back("__metadata__", metadata);
    std::uint64_t offset = 0;
    for (std::size_t const width : {8, 4, 2, 1})
      for (auto const& tensor : tensors)
        if (bytes_of(tensor.dtype) == width) root.emplace_back(tensor.name, place(tensor, offset));

    std::string text;
    try {
      text = dump_json(std::move(root));
    } catch (Error const& error) {
      fail(file_.path().string(), ": header: ", error.what());
    }
    text.append((8 - text.size() % 8) % 8, ' ');
    std::uint64_t const length = text.size();
    require(length <= detail::largest_safetensors_header, file_.path().string(), ": the header takes ", length,
            " bytes, at most 100000000 are allowed: write fewer tensors or shorter names");
    file_.write(std::as_bytes(std::span(&length, 1)));
    file_.write(std::as_bytes(std::span(text)));
    bytes_ = 8 + length + offset;
    for (auto& [name, entry] : entries_) {
      entry.info.begin += 8 + length;
      entry.info.end += 8 + length;
    }
  }

  std::filesystem::path const& path() const { return file_.path(); }

  /// Leaves the tensors to others, which write them into the file where it stands until commit(): see
  /// SafetensorsPieces. Whether they wrote all of them is theirs to know.
  std::filesystem::path const& share() {
    file_.resize(bytes_);
    shared_ = true;
    return file_.aside();
  }

  /// Writes a whole tensor, row-major, from any contiguous range of its element type. Throws Error for a name that was
  /// not announced, another dtype or length, a second time, and where the system refuses (full disk).
  template <std::ranges::contiguous_range Values>
  void write(std::string_view name, Values const& values) {
    using T = std::ranges::range_value_t<Values>;
    std::span<T const> const elements(std::ranges::data(values), std::ranges::size(values));
    Entry& entry = at(name);
    bool const fits =
        entry.info.dtype == dtype_of<T>() || (entry.info.dtype == Dtype::BOOL && std::same_as<T, std::uint8_t>);
    if (!fits) refuse(entry.info, "cannot be written from ", name_of(dtype_of<T>()));
    if (elements.size() != entry.info.size())
      refuse(entry.info, "has ", entry.info.size(), " elements, written as ", elements.size());
    put(entry, std::as_bytes(elements));
  }

  /// Writes the stored bytes of a whole tensor of any dtype, as write() does.
  void write_bytes(std::string_view name, std::span<std::byte const> bytes) {
    Entry& entry = at(name);
    if (bytes.size() != entry.info.bytes())
      refuse(entry.info, "has ", entry.info.bytes(), " bytes, written as ", bytes.size());
    put(entry, bytes);
  }

  /// Puts the file in place; throws Error where a tensor was not written or the system refuses.
  void commit() {
    for (auto const& [name, entry] : entries_) {
      if (!entry.written && !shared_) refuse(entry.info, "was announced but not written");
    }
    file_.commit();
  }

 private:
  struct Entry {
    TensorInfo info;
    bool written = false;
  };

  template <class... Parts>
  [[noreturn]] void refuse(TensorInfo const& tensor, Parts const&... parts) const {
    fail(file_.path().string(), ": tensor ", detail::quoted(tensor.name), " (", name_of(tensor.dtype), ' ',
         detail::shape_text(tensor.shape), "): ", parts...);
  }

  Json place(Tensor const& tensor, std::uint64_t& offset) {
    TensorInfo info{tensor.name, tensor.dtype, tensor.shape, offset, offset};
    if (tensor.name.empty() || tensor.name == "__metadata__") refuse(info, "no tensor can have this name");
    auto const bytes = detail::array_bytes(tensor.shape, bytes_of(tensor.dtype));
    constexpr std::uint64_t largest_file = std::uint64_t{1} << 62;
    if (!bytes || *bytes > largest_file - offset) refuse(info, "exceeds the size of a file");
    offset = info.end = info.begin + *bytes;
    if (!entries_.emplace(tensor.name, Entry{info}).second) refuse(info, "is announced twice");
    return {{"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {info.begin, info.end}}};
  }

  Entry& at(std::string_view name) {
    auto const found = entries_.find(name);
    require(found != entries_.end(), file_.path().string(), ": tensor ", detail::quoted(name), ": was not announced");
    return found->second;
  }

  void put(Entry& entry, std::span<std::byte const> bytes) {
    if (entry.written) refuse(entry.info, "is written twice");
    file_.write_at(entry.info.begin, bytes);
    entry.written = true;
  }

  AtomicFile file_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::uint64_t bytes_ = 0;  // of the whole file
  bool shared_ = false;
};

/// Writes pieces of the tensors of a file that a SafetensorsWriter, of this process or of another, has laid out and
/// shared. Any number of processes write at a time; pieces do not overlap.
class SafetensorsPieces {
 public:
  /// `aside` is what share() answered. Throws Error where it cannot be opened.
  explicit SafetensorsPieces(std::filesystem::path const& aside) : layout_(aside), output_(aside) {}

  /// Writes elements of the row-major tensor from number `first` on. Throws Error for a name that was not announced,
  /// another dtype, elements that the tensor does not have, and where the system refuses.
  template <class T>
  void write(std::string_view name, std::size_t first, std::span<T const> values) {
    TensorInfo const& tensor = layout_.at(name);
    require(tensor.dtype == dtype_of<T>() && first <= tensor.size() && values.size() <= tensor.size() - first,
            layout_.path().string(), ": tensor ", detail::quoted(name), " (", name_of(tensor.dtype), ' ',
            detail::shape_text(tensor.shape), "): cannot take ", values.size(), " elements of ", name_of(dtype_of<T>()),
            " from element ", first);
    output_.write_at(tensor.begin + first * sizeof(T), std::as_bytes(values));
    written_ += values.size();
  }

  /// Elements written so far.
  std::uint64_t written() const { return written_; }

  /// Flushes to the device; nothing can be written afterwards.
  void close() { output_.close(); }

 private:
  SafetensorsFile layout_;
  detail::OutputFile output_;
  std::uint64_t written_ = 0;
};

}  // namespace dchag
