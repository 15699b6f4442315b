#pragma once

#include <netcdf.h>

#include <cstddef>
#include <dchag/core/error.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dchag::tests {

/// A small NetCDF file in the making, by the C library itself; complete when it is destroyed.
class NetcdfWriter {
 public:
  explicit NetcdfWriter(std::filesystem::path const& path, int format = NC_NETCDF4) {
    check(nc_create(path.c_str(), NC_CLOBBER | format, &file_));
  }
  NetcdfWriter(NetcdfWriter const&) = delete;
  NetcdfWriter& operator=(NetcdfWriter const&) = delete;
  ~NetcdfWriter() { nc_close(file_); }

  NetcdfWriter& dimension(char const* name, std::size_t length) {
    int id = 0;
    check(nc_def_dim(file_, name, length, &id));
    return *this;
  }

  NetcdfWriter& variable(char const* name, nc_type type, std::vector<char const*> const& dimensions) {
    std::vector<int> ids;
    for (char const* dimension : dimensions) check(nc_inq_dimid(file_, dimension, &ids.emplace_back()));
    check(nc_def_var(file_, name, type, static_cast<int>(ids.size()), ids.data(), &last_));
    return *this;
  }
  /// Of the last variable.
  NetcdfWriter& text(char const* name, std::string_view value) {
    check(nc_put_att_text(file_, last_, name, value.size(), value.data()));
    return *this;
  }
  NetcdfWriter& numbers(char const* name, nc_type type, std::vector<double> const& values) {
    check(nc_put_att_double(file_, last_, name, type, values.size(), values.data()));
    return *this;
  }

  /// Fills the block of a variable that starts at zero with numbers as they are to be stored.
  NetcdfWriter& put(char const* name, std::vector<std::size_t> const& count, std::vector<double> const& values) {
    if (!defined_) nc_enddef(file_);
    defined_ = true;
    int id = 0;
    std::vector<std::size_t> const start(count.size(), 0);
    check(nc_inq_varid(file_, name, &id));
    check(nc_put_vara_double(file_, id, start.data(), count.data(), values.data()));
    return *this;
  }

  /// A coordinate variable along a dimension of its own.
  NetcdfWriter& coordinate(char const* name, std::vector<double> const& values, std::string_view unit,
                           nc_type type = NC_DOUBLE) {
    dimension(name, values.size()).variable(name, type, {name}).text("units", unit);
    coordinates_.push_back({name, values});
    return *this;
  }
  /// The numbers of all coordinates so far; definitions come before it.
  NetcdfWriter& put_coordinates() {
    for (auto const& [name, values] : coordinates_) put(name, {values.size()}, values);
    return *this;
  }

 private:
  static void check(int code) { require(code == NC_NOERR, "test: ", nc_strerror(code)); }

  struct Coordinate {
    char const* name;
    std::vector<double> values;
  };

  int file_ = -1, last_ = -1;
  bool defined_ = false;
  std::vector<Coordinate> coordinates_;
};

}  // namespace dchag::tests
