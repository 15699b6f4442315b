#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <dchag/io/calendar.hpp>
#include <dchag/io/detail/netcdf_handle.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace dchag::detail {

enum class NetcdfAxis { time, level, latitude, longitude, unknown };

/// What a file may have at most, so that a hostile one does not exhaust the memory.
struct NetcdfLimits {
  static constexpr std::size_t coordinates = std::size_t{1} << 20;  // of one axis
  static constexpr std::size_t cells = std::size_t{1} << 28;        // of one field: rows times columns
};

/// The variable that holds the coordinates of a dimension: the one of its name, along it alone.
inline NetcdfVariable const* coordinate_variable(NetcdfHandle const& file, int dimension) {
  auto const* variable = file.find(file.dimension(dimension).name);
  return variable != nullptr && variable->dimensions == std::vector{dimension} ? variable : nullptr;
}

/// What a dimension is, by the CF conventions: by the unit or standard_name of its coordinates, else by its name.
inline NetcdfAxis axis_of(NetcdfHandle const& file, int dimension) {
  auto const* variable = coordinate_variable(file, dimension);
  if (variable == nullptr) return NetcdfAxis::unknown;
  auto const one_of = [](std::string const& text, auto... names) { return ((text == names) || ...); };
  std::string const unit = file.text(*variable, "units"), standard = file.text(*variable, "standard_name");
  std::string name = variable->name;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (standard == "latitude" || one_of(name, "lat", "latitude") ||
      one_of(unit, "degrees_north", "degree_north", "degrees_N", "degree_N", "degreesN", "degreeN"))
    return NetcdfAxis::latitude;
  if (standard == "longitude" || one_of(name, "lon", "longitude") ||
      one_of(unit, "degrees_east", "degree_east", "degrees_E", "degree_E", "degreesE", "degreeE"))
    return NetcdfAxis::longitude;
  if (standard == "time" || name == "time" || unit.find(" since ") != unit.npos) return NetcdfAxis::time;
  return NetcdfAxis::level;
}

/// The coordinates of a dimension that has them. Throws Error where they are no numbers or one of them is missing.
inline std::vector<double> coordinates_of(NetcdfHandle const& file, int dimension) {
  auto const& variable = *coordinate_variable(file, dimension);
  std::size_t const length = file.dimension(dimension).length;
  require(variable.numeric(), file.source(), ": its coordinate variable ", detail::quoted(variable.name),
          " is of a type that is no number");
  require(length <= NetcdfLimits::coordinates, file.source(), ": its dimension ", detail::quoted(variable.name),
          " has ", length, " entries, at most ", NetcdfLimits::coordinates, " are allowed");
  std::vector<double> values(length);
  if (length > 0) file.read(variable, {0}, {length}, values.data());
  for (std::size_t i = 0; i < length; ++i)
    require(std::isfinite(values[i]) && std::abs(values[i]) < 1e30, file.source(), ": its coordinate variable ",
            detail::quoted(variable.name), " is no finite number at entry ", i);
  return values;
}

inline TimeAxis times_of(NetcdfHandle const& file, int dimension) {
  auto const& variable = *coordinate_variable(file, dimension);
  std::string const calendar = file.text(variable, "calendar");
  return {coordinates_of(file, dimension), file.text(variable, "units"),
          calendar.empty() ? Calendar::standard : calendar_of(calendar, file.source()), file.source()};
}

/// A level as it stands at the end of a channel's name: 850, 0.995.
inline std::string level_text(double level, bool single) {
  std::array<char, 64> text{};
  auto* const begin = text.data();
  auto* const end = begin + text.size();
  bool const whole = std::abs(level) < 1e15 && level == std::floor(level);
  auto const result = whole    ? std::to_chars(begin, end, static_cast<std::int64_t>(level))
                      : single ? std::to_chars(begin, end, static_cast<float>(level))
                               : std::to_chars(begin, end, level);
  return {begin, result.ptr};
}

}  // namespace dchag::detail
