#pragma once

#include <cmath>
#include <dchag/io/detail/netcdf_handle.hpp>
#include <limits>
#include <optional>
#include <vector>

namespace dchag::detail {

/// What the library fills a variable of that type with where nothing was written; bytes have no such value.
inline std::optional<double> default_fill(nc_type type) {
  switch (type) {
    case NC_SHORT:
      return NC_FILL_SHORT;
    case NC_INT:
      return NC_FILL_INT;
    case NC_FLOAT:
      return NC_FILL_FLOAT;
    case NC_DOUBLE:
      return NC_FILL_DOUBLE;
    case NC_USHORT:
      return NC_FILL_USHORT;
    case NC_UINT:
      return NC_FILL_UINT;
    case NC_INT64:
      return static_cast<double>(NC_FILL_INT64);
    case NC_UINT64:
      return static_cast<double>(NC_FILL_UINT64);
    default:
      return {};
  }
}

/// How the numbers of a variable are stored: _FillValue (or else the library's own), missing_value, valid_min,
/// valid_max, valid_range, scale_factor, add_offset and _Unsigned.
class NetcdfPacking {
 public:
  NetcdfPacking(NetcdfHandle const& file, NetcdfVariable const& variable)
      : single_(variable.type == NC_FLOAT),
        scale_(file.number(variable, "scale_factor").value_or(1)),
        offset_(file.number(variable, "add_offset").value_or(0)) {
    require(std::isfinite(scale_) && scale_ != 0 && std::isfinite(offset_), file.source(), ": its variable ",
            detail::quoted(variable.name), " has scale_factor = ", scale_, " and add_offset = ", offset_,
            ": expected numbers, and a factor that is not zero");
    if (file.text(variable, "_Unsigned") == "true" && variable.type <= NC_INT && variable.type != NC_CHAR)
      wrap_ = variable.type == NC_BYTE ? 0x1p8 : variable.type == NC_SHORT ? 0x1p16 : 0x1p32;
    for (double const value : file.numbers(variable, "missing_value")) missing_.push_back(stored(value));
    if (auto const fill = file.number(variable, "_FillValue"))
      missing_.push_back(stored(*fill));
    else if (auto const usual = default_fill(variable.type))
      missing_.push_back(stored(*usual));
    auto const range = file.numbers(variable, "valid_range");
    require(range.empty() || range.size() == 2, file.source(), ": the attribute valid_range of its variable ",
            detail::quoted(variable.name), " has ", range.size(), " numbers, expected two");
    low_ = stored(range.empty() ? file.number(variable, "valid_min").value_or(low_) : range[0]);
    high_ = stored(range.empty() ? file.number(variable, "valid_max").value_or(high_) : range[1]);
  }

  /// The value of a stored number; not a number where it says that there is none.
  double operator()(double raw) const {
    raw = stored(raw);
    if (std::isnan(raw) || raw < low_ || raw > high_) return std::numeric_limits<double>::quiet_NaN();
    for (double const missing : missing_)
      if (raw == missing) return std::numeric_limits<double>::quiet_NaN();
    return raw * scale_ + offset_;
  }

 private:
  /// As the variable itself would hold it.
  double stored(double value) const {
    if (single_ && std::abs(value) <= std::numeric_limits<float>::max()) return static_cast<float>(value);
    return value < 0 ? value + wrap_ : value;
  }

  bool single_;
  double scale_, offset_, wrap_ = 0;
  double low_ = -std::numeric_limits<double>::infinity(), high_ = std::numeric_limits<double>::infinity();
  std::vector<double> missing_;
};

}  // namespace dchag::detail
