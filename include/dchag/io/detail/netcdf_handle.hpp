#pragma once

#include <netcdf.h>

#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <dchag/io/detail/netcdf_classic.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag::detail {

struct NetcdfDimension {
  std::string name;
  std::size_t length;
};

struct NetcdfVariable {
  int id;
  std::string name;
  nc_type type;
  std::vector<int> dimensions;  // their numbers, the slowest first

  /// Is it of one of the types of numbers?
  bool numeric() const { return type != NC_CHAR && type >= NC_BYTE && type <= NC_UINT64; }
};

/// A file open for reading through the C library of NetCDF, and the list of what is in its root group. Every Error
/// names the file.
class NetcdfHandle {
 public:
  explicit NetcdfHandle(std::filesystem::path path) : path_(std::move(path)) {
    ClassicNetcdf::check_length(InputFile(path_));  // throws too where the library would take the text for an address
    int const code = nc_open(path_.c_str(), NC_NOWRITE, &id_);
    require(code == NC_NOERR, path_.string(), ": cannot be opened as a NetCDF file: ", nc_strerror(code));
    try {
      list();
    } catch (...) {
      nc_close(id_);
      throw;
    }
  }
  NetcdfHandle(NetcdfHandle const&) = delete;
  NetcdfHandle& operator=(NetcdfHandle const&) = delete;
  ~NetcdfHandle() { nc_close(id_); }

  std::string source() const { return path_.string(); }
  std::filesystem::path const& path() const { return path_; }
  std::vector<NetcdfDimension> const& dimensions() const { return dimensions_; }
  std::vector<NetcdfVariable> const& variables() const { return variables_; }
  NetcdfDimension const& dimension(int number) const { return dimensions_.at(static_cast<std::size_t>(number)); }

  /// The variable of that name, null pointer where there is none.
  NetcdfVariable const* find(std::string_view name) const {
    for (auto const& variable : variables_)
      if (variable.name == name) return &variable;
    return nullptr;
  }

  /// A text attribute, without the zero bytes that some programs end it with; empty where there is none.
  std::string text(NetcdfVariable const& variable, char const* name) const {
    auto const [type, length] = attribute(variable, name);
    if (length == 0) return {};
    require(type == NC_CHAR || (type == NC_STRING && length == 1), described(variable, name), "is no text");
    if (type == NC_STRING) {
      char* value = nullptr;
      check(nc_get_att_string(id_, variable.id, name, &value), variable.name);
      std::string text = value == nullptr ? "" : value;
      nc_free_string(1, &value);
      return text;
    }
    std::string text(length, '\0');
    check(nc_get_att_text(id_, variable.id, name, text.data()), variable.name);
    return text.substr(0, text.find('\0'));
  }

  /// The numbers of an attribute, none where there is none.
  std::vector<double> numbers(NetcdfVariable const& variable, char const* name) const {
    auto const [type, length] = attribute(variable, name);
    if (length == 0) return {};
    require(type != NC_CHAR && type >= NC_BYTE && type <= NC_UINT64, described(variable, name), "is no number");
    std::vector<double> values(length);
    check(nc_get_att_double(id_, variable.id, name, values.data()), variable.name);
    return values;
  }

  /// An attribute of one number.
  std::optional<double> number(NetcdfVariable const& variable, char const* name) const {
    auto const values = numbers(variable, name);
    if (values.empty()) return {};
    require(values.size() == 1, described(variable, name), "has ", values.size(), " numbers, expected one");
    return values[0];
  }

  /// The numbers of a block of a variable of numbers, as they are stored.
  void read(NetcdfVariable const& variable, std::vector<std::size_t> const& start,
            std::vector<std::size_t> const& count, double* values) const {
    check(nc_get_vara_double(id_, variable.id, start.data(), count.data(), values), variable.name);
  }

  /// Bytes of one number of a variable.
  std::size_t bytes_of(NetcdfVariable const& variable) const {
    std::size_t bytes = 0;
    check(nc_inq_type(id_, variable.type, nullptr, &bytes), variable.name);
    return bytes;
  }

 private:
  static constexpr std::size_t longest_attribute = 1u << 20;

  void check(int code, std::string const& variable) const {
    require(code == NC_NOERR, source(), ": its variable ", detail::quoted(variable),
            " cannot be read: ", nc_strerror(code));
  }

  std::string described(NetcdfVariable const& variable, char const* attribute) const {
    return source() + ": the attribute " + attribute + " of its variable " + detail::quoted(variable.name) + ' ';
  }

  std::pair<nc_type, std::size_t> attribute(NetcdfVariable const& variable, char const* name) const {
    nc_type type = NC_NAT;
    std::size_t length = 0;
    int const code = nc_inq_att(id_, variable.id, name, &type, &length);
    if (code == NC_ENOTATT) return {NC_NAT, 0};
    check(code, variable.name);
    require(length <= longest_attribute, described(variable, name), "has ", length, " entries, at most ",
            longest_attribute, " are allowed");
    return {type, length};
  }

  void list() {
    int dimensions = 0, variables = 0;
    check(nc_inq(id_, &dimensions, &variables, nullptr, nullptr), "");
    std::vector<int> numbers(static_cast<std::size_t>(dimensions));
    check(nc_inq_dimids(id_, &dimensions, numbers.data(), 0), "");
    char name[NC_MAX_NAME + 1] = {};
    for (int const number : numbers) {
      std::size_t length = 0;
      check(nc_inq_dim(id_, number, name, &length), "");
      if (static_cast<std::size_t>(number) >= dimensions_.size())
        dimensions_.resize(static_cast<std::size_t>(number) + 1);
      dimensions_[static_cast<std::size_t>(number)] = {name, length};
    }
    for (int id = 0; id < variables; ++id) {
      int rank = 0;
      check(nc_inq_varndims(id_, id, &rank), "");
      NetcdfVariable variable{id, {}, NC_NAT, std::vector<int>(static_cast<std::size_t>(rank))};
      check(nc_inq_var(id_, id, name, &variable.type, nullptr, variable.dimensions.data(), nullptr), "");
      variable.name = name;
      for (int const number : variable.dimensions)
        require(number >= 0 && static_cast<std::size_t>(number) < dimensions_.size(), source(), ": its variable ",
                detail::quoted(name), " has a dimension that the file does not list");
      variables_.push_back(std::move(variable));
    }
  }

  std::filesystem::path path_;
  int id_ = -1;
  std::vector<NetcdfDimension> dimensions_;
  std::vector<NetcdfVariable> variables_;
};

}  // namespace dchag::detail
