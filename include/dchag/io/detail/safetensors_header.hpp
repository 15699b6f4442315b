#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/json.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

/// A tensor of a safetensors file, row-major.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<std::size_t> shape;
  std::uint64_t begin = 0;  // of its bytes, counted from the beginning of the file
  std::uint64_t end = 0;

  std::uint64_t bytes() const { return end - begin; }
  std::size_t size() const { return static_cast<std::size_t>(bytes()) / bytes_of(dtype); }
};

namespace detail {

/// The format's own bound, which its other readers keep too.
inline constexpr std::uint64_t largest_safetensors_header = 100'000'000;

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // in the order of their bytes
};

/// Reads and checks the JSON part of a safetensors header, text, against the length of the data part, data_bytes, which
/// begins at data_begin of the file. Errors begin with source.
class SafetensorsHeaderReader {
 public:
  SafetensorsHeaderReader(std::string source, std::uint64_t data_begin, std::uint64_t data_bytes)
      : source_(std::move(source)), data_begin_(data_begin), data_bytes_(data_bytes) {}

  SafetensorsHeader read(std::string_view text) {
    require(text.starts_with('{'), source_, ": the header does not begin with '{'");
    Json const root = parse_json(text, source_ + ": header", {.depth = 3, .values = 10'000'000});
    for (auto const& [name, value] : json_object(root, "header")) {
      if (name == "__metadata__") {
        read_metadata(value);
      } else {
        header_.tensors.push_back(read_tensor(name, value));
      }
    }
    check_cover();
    return std::move(header_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(std::string_view tensor, Parts const&... parts) const {
    fail(source_, ": tensor ", quoted(tensor), ": ", parts...);
  }

  void read_metadata(Json const& value) {
    require(value.is_object(), source_, ": __metadata__ is not an object");
    for (auto const& [key, entry] : json_object(value, "__metadata__")) {
      require(entry.is_string(), source_, ": __metadata__ ", quoted(key), " is not a string");
      header_.metadata.emplace(key, json_to<std::string>(entry, key));
    }
  }

  TensorInfo read_tensor(std::string const& name, Json const& value) const {
    if (!value.is_object()) refuse(name, "its entry is not an object");
    for (auto const& member : json_object(value, name)) {
      if (member.first != "dtype" && member.first != "shape" && member.first != "data_offsets") {
        refuse(name, "unknown field ", quoted(member.first));
      }
    }
    Json const* dtype = json_find(value, "dtype");
    if (dtype == nullptr || !dtype->is_string()) refuse(name, "dtype is missing or not a string");
    auto const type_name = json_to<std::string>(*dtype, "dtype");
    auto const type = dtype_named(type_name);
    if (!type) refuse(name, "unknown dtype ", quoted(type_name));

    auto const shape = read_sizes(name, value, "shape");
    auto const offsets = read_sizes(name, value, "data_offsets");
    if (offsets.size() != 2) refuse(name, "data_offsets holds ", offsets.size(), " numbers, expected 2");
    auto const [begin, end] = std::pair(offsets[0], offsets[1]);
    if (begin > end) refuse(name, "data_offsets are reversed: ", begin, " > ", end);
    if (end > data_bytes_) refuse(name, "data_offsets end at ", end, ", but the data are ", data_bytes_, " bytes long");
    auto const bytes = array_bytes(shape, bytes_of(*type));
    if (!bytes) refuse(name, "shape ", shape_text(shape), " exceeds 64 bits");
    if (*bytes != end - begin) {
      refuse(name, "data_offsets span ", end - begin, " bytes, but ", type_name, " of shape ", shape_text(shape),
             " has ", *bytes);
    }
    return {name, *type, shape, data_begin_ + begin, data_begin_ + end};
  }

  std::vector<std::size_t> read_sizes(std::string const& name, Json const& value, char const* field) const {
    Json const* items = json_find(value, field);
    if (items == nullptr || !items->is_array()) refuse(name, field, " is missing or not an array");
    std::vector<std::size_t> sizes;
    for (Json const& item : json_array(*items, field)) {
      if (!item.is_number_integer() || json_to<std::int64_t>(item, field) < 0)
        refuse(name, field, " holds something other than non-negative integers");
      sizes.push_back(json_to<std::size_t>(item, field));
    }
    return sizes;
  }

  /// The tensors must fill the data part from end to end, without overlap.
  void check_cover() {
    std::vector<TensorInfo*> order;
    for (auto& tensor : header_.tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](TensorInfo const* a, TensorInfo const* b) {
      return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    std::vector<TensorInfo> tensors;
    std::uint64_t covered = data_begin_;
    for (TensorInfo* const tensor : order) {
      if (tensor->begin < covered) refuse(tensor->name, "data_offsets overlap those of another tensor");
      if (tensor->begin > covered) refuse(tensor->name, "data_offsets leave a hole before them");
      covered = tensor->end;
      tensors.push_back(std::move(*tensor));
    }
    header_.tensors = std::move(tensors);
    require(covered == data_begin_ + data_bytes_, source_, ": ", data_begin_ + data_bytes_ - covered,
            " bytes at the end belong to no tensor");
  }

  std::string source_;
  std::uint64_t data_begin_;
  std::uint64_t data_bytes_;
  SafetensorsHeader header_;
};

}  // namespace detail
}  // namespace dchag
