#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/io/calendar.hpp>
#include <dchag/io/channel_statistics.hpp>
#include <dchag/io/detail/netcdf_axes.hpp>
#include <dchag/io/detail/netcdf_handle.hpp>
#include <dchag/io/detail/netcdf_packing.hpp>
#include <dchag/io/latitude_grid.hpp>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Needs the C library of NetCDF besides: CMake's target dchag::netcdf.
namespace dchag {

struct NetcdfOptions {
  /// By what channels are called: the variable of the file, or its CF standard_name where it has one.
  enum class Names { variable, standard };

  Names names = Names::variable;
  std::vector<std::string> variables{};  // those alone; all where empty
};

/// What a NetCDF file says of the variable that a channel comes from.
struct NetcdfField {
  std::string variable, standard_name, long_name, unit;
};

/// Fields on a grid of latitudes and longitudes from a NetCDF file (classic or NetCDF-4) that follows the CF
/// conventions, with the axes of a variable in any order. Every variable with a latitude and a longitude axis is a
/// channel; one with a level axis is a channel for each level, "temperature_850". Rows go from north to south,
/// whichever way the file has them. Fill values, those outside of the valid range and those that are no number are read
/// as NaN; scale and offset are applied. A variable without a time axis is the same at all times.
///
/// All Errors name the file. The C library serves one thread at a time, whatever the number of files.
class NetcdfFile {
 public:
  /// Throws Error where this is no NetCDF file or a shortened one, where it has no field, no times along its time axis,
  /// an unknown calendar, coordinates that are no numbers or out of range, too large a grid, or two channels of a name.
  explicit NetcdfFile(std::filesystem::path const& path, NetcdfOptions options = {})
      : file_(path), options_(std::move(options)) {
    for (std::size_t d = 0; d < file_.dimensions().size(); ++d)
      axes_.push_back(detail::axis_of(file_, static_cast<int>(d)));
    for (auto const& name : options_.variables)
      require(file_.find(name) != nullptr, source(), ": has no variable ", detail::quoted(name));
    for (auto const& variable : file_.variables()) {
      auto const& chosen = options_.variables;
      if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), variable.name) == chosen.end()) continue;
      std::string const reason = refusal(variable);
      if (reason.empty())
        add(variable);
      else if (!is_coordinate(variable))
        left_out_.push_back(variable.name + " (" + reason + ")");
    }
    require(!channels_.empty(), source(), ": has no field on latitudes and longitudes", left_out());
    check_names();
  }

  /// What can be read, in the order of the file.
  std::vector<Channel> const& channels() const { return channels_; }
  /// The variable of a channel.
  NetcdfField const& field(std::size_t channel) const { return variables_[places_.at(channel).variable].field; }
  /// Which channel has that name; throws Error, naming what there is, where none has.
  std::size_t channel(std::string_view name) const {
    for (std::size_t c = 0; c < channels_.size(); ++c)
      if (channels_[c].name == name) return c;
    std::string there;
    for (auto const& channel : channels_) there += (there.empty() ? "" : ", ") + channel.name;
    fail(source(), ": has no channel ", detail::quoted(name), ", only: ", there, left_out());
  }

  /// The times of the fields; nothing where none has a time axis, and then there is one time, number 0.
  std::optional<TimeAxis> const& times() const { return times_; }
  std::size_t time_count() const { return times_ ? times_->size() : 1; }

  /// Of the rows and columns that read() gives: from north to south.
  LatitudeGrid const& grid() const { return *grid_; }

  /// Bytes of field values that were asked of the file so far.
  std::uint64_t bytes_read() const { return bytes_read_; }

  /// Values [times, channels, rows, columns] of the times and channels of those numbers, in the order of the lists,
  /// into room for exactly as many; nothing of other times and channels is asked of the file. Throws Error for a number
  /// that is not there.
  template <class T>
  void read(std::vector<std::int64_t> const& times, std::vector<std::int64_t> const& channels, std::span<T> values) {
    check_entries(times, time_count(), "times");
    check_entries(channels, channels_.size(), "channels");
    std::size_t const cells = grid_->height() * grid_->width();
    require(values.size() == times.size() * channels.size() * cells, source(), ": ", times.size(), " times of ",
            channels.size(), " channels are ", times.size() * channels.size() * cells,
            " values, but there is room for ", values.size());
    for (std::size_t c = 0; c < channels.size(); ++c) {
      Place const& place = places_[static_cast<std::size_t>(channels[c])];
      std::size_t const stride = channels.size() * cells;
      if (variables_[place.variable].time < 0) {
        if (times.empty()) continue;
        auto const first = values.subspan(c * cells, cells);
        read_block(place, 0, 1, stride, first);
        for (std::size_t t = 1; t < times.size(); ++t)
          std::copy(first.begin(), first.end(), values.begin() + static_cast<std::ptrdiff_t>(t * stride + c * cells));
        continue;
      }
      std::size_t const longest = std::max<std::size_t>(1, buffer_values / cells);
      for (std::size_t t = 0, count = 0; t < times.size(); t += count) {  // times side by side go together
        count = 1;
        while (count < longest && t + count < times.size() && times[t + count] == times[t + count - 1] + 1) ++count;
        read_block(place, static_cast<std::size_t>(times[t]), count, stride, values.subspan(t * stride + c * cells));
      }
    }
  }

  /// The same into a new array.
  template <class T>
  std::vector<T> read(std::vector<std::int64_t> const& times, std::vector<std::int64_t> const& channels) {
    check_entries(times, time_count(), "times");
    check_entries(channels, channels_.size(), "channels");
    std::vector<T> values(times.size() * channels.size() * grid_->height() * grid_->width());
    read(times, channels, std::span(values));
    return values;
  }

 private:
  static constexpr std::size_t buffer_values = std::size_t{1} << 22;

  struct Variable {
    detail::NetcdfVariable const* stored;
    NetcdfField field;
    detail::NetcdfPacking packing;
    int time = -1, level = -1, latitude = -1, longitude = -1;  // which of its dimensions; -1 where it has none
  };
  struct Place {
    std::size_t variable, level;
  };

  std::string source() const { return file_.source(); }

  std::string left_out() const {
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(left_out_.size(), 8); ++i)
      text += (text.empty() ? "; left out: " : ", ") + left_out_[i];
    return text;
  }

  bool is_coordinate(detail::NetcdfVariable const& variable) const {
    return variable.dimensions.empty() || detail::coordinate_variable(file_, variable.dimensions[0]) == &variable;
  }

  /// Which of a variable's dimensions is such an axis; -1 where none is.
  int find_axis(detail::NetcdfVariable const& variable, detail::NetcdfAxis axis) const {
    for (std::size_t d = 0; d < variable.dimensions.size(); ++d)
      if (axes_[static_cast<std::size_t>(variable.dimensions[d])] == axis) return static_cast<int>(d);
    return -1;
  }

  /// Why a variable is no field of this file; empty where it is one.
  std::string refusal(detail::NetcdfVariable const& variable) const {
    using enum detail::NetcdfAxis;
    for (std::size_t d = 0; d < variable.dimensions.size(); ++d) {
      int const dimension = variable.dimensions[d];
      auto const axis = axes_[static_cast<std::size_t>(dimension)];
      if (axis == unknown) return "its dimension " + file_.dimension(dimension).name + " has no coordinate variable";
      if (find_axis(variable, axis) != static_cast<int>(d)) return "it has two axes of a kind";
    }
    int const latitude_axis = find_axis(variable, latitude), longitude_axis = find_axis(variable, longitude);
    if (latitude_axis < 0 || longitude_axis < 0) return "it has not both latitudes and longitudes";
    if (!variable.numeric()) return "its values are no numbers";
    auto const differs = [&](int axis, int expected) {
      return expected >= 0 && axis >= 0 && variable.dimensions[static_cast<std::size_t>(axis)] != expected;
    };
    if (differs(latitude_axis, latitude_) || differs(longitude_axis, longitude_))
      return "it is on another grid than those before it";
    if (differs(find_axis(variable, time), time_)) return "it has other times than those before it";
    return {};
  }

  void add(detail::NetcdfVariable const& variable) {
    using enum detail::NetcdfAxis;
    Variable added{&variable,
                   {variable.name, file_.text(variable, "standard_name"), file_.text(variable, "long_name"),
                    file_.text(variable, "units")},
                   detail::NetcdfPacking(file_, variable),
                   find_axis(variable, time),
                   find_axis(variable, level),
                   find_axis(variable, latitude),
                   find_axis(variable, longitude)};
    auto const dimension = [&](int axis) { return variable.dimensions[static_cast<std::size_t>(axis)]; };
    if (!grid_) set_grid(dimension(added.latitude), dimension(added.longitude));
    if (added.time >= 0 && !times_) {
      time_ = dimension(added.time);
      times_ = detail::times_of(file_, time_);
    }
    bool const standard = options_.names == NetcdfOptions::Names::standard && !added.field.standard_name.empty();
    std::string const name = standard ? added.field.standard_name : variable.name, unit = added.field.unit;
    std::size_t const number = variables_.size();
    if (added.level < 0) {
      channels_.push_back({.name = name, .unit = unit});
      places_.push_back({number, 0});
    } else {
      auto const levels = detail::coordinates_of(file_, dimension(added.level));
      bool const single = detail::coordinate_variable(file_, dimension(added.level))->type == NC_FLOAT;
      for (std::size_t i = 0; i < levels.size(); ++i) {
        channels_.push_back({name + '_' + detail::level_text(levels[i], single), unit, levels[i]});
        places_.push_back({number, i});
      }
    }
    variables_.push_back(std::move(added));
  }

  void set_grid(int latitude, int longitude) {
    latitude_ = latitude;
    longitude_ = longitude;
    auto latitudes = detail::coordinates_of(file_, latitude), longitudes = detail::coordinates_of(file_, longitude);
    require(longitudes.empty() || latitudes.size() <= detail::NetcdfLimits::cells / longitudes.size(), source(),
            ": its grid of ", latitudes.size(), " x ", longitudes.size(), " has more than ",
            detail::NetcdfLimits::cells, " cells");
    flipped_ = latitudes.size() > 1 && latitudes.front() < latitudes.back();
    if (flipped_) std::reverse(latitudes.begin(), latitudes.end());
    grid_.emplace(std::move(latitudes), std::move(longitudes), source());
  }

  void check_names() const {
    std::vector<std::string> names;
    for (auto const& channel : channels_) names.push_back(channel.name);
    std::sort(names.begin(), names.end());
    auto const twice = std::adjacent_find(names.begin(), names.end());
    if (twice == names.end()) return;
    fail(source(), ": two of its channels are called ", detail::quoted(*twice),
         ": choose variables, or call them by the names of their variables");
  }

  void check_entries(std::vector<std::int64_t> const& entries, std::size_t count, char const* what) const {
    for (std::int64_t const entry : entries)
      require(entry >= 0 && static_cast<std::size_t>(entry) < count, source(), ": has ", count, ' ', what,
              ", but number ", entry, " is asked for");
  }

  /// Times [time, time + count) of a channel, `stride` values apart; the first of them goes to the front of `values`.
  template <class T>
  void read_block(Place const& place, std::size_t time, std::size_t count, std::size_t stride, std::span<T> values) {
    Variable const& variable = variables_[place.variable];
    std::size_t const rank = variable.stored->dimensions.size(), rows = grid_->height(), columns = grid_->width();
    std::vector<std::size_t> start(rank, 0), counts(rank, 1), inner(rank, 1);
    auto const along = [&](int axis, std::size_t first, std::size_t entries) {
      if (axis < 0) return;
      start[static_cast<std::size_t>(axis)] = first;
      counts[static_cast<std::size_t>(axis)] = entries;
    };
    along(variable.time, time, count);
    along(variable.level, place.level, 1);
    along(variable.latitude, 0, rows);
    along(variable.longitude, 0, columns);
    buffer_.resize(count * rows * columns);
    file_.read(*variable.stored, start, counts, buffer_.data());
    bytes_read_ += buffer_.size() * file_.bytes_of(*variable.stored);

    for (std::size_t d = rank; d-- > 1;) inner[d - 1] = inner[d] * counts[d];
    auto const step = [&](int axis) { return axis < 0 ? 0 : inner[static_cast<std::size_t>(axis)]; };
    for (std::size_t t = 0; t < count; ++t)
      for (std::size_t row = 0; row < rows; ++row) {
        double const* const from =
            buffer_.data() + t * step(variable.time) + (flipped_ ? rows - 1 - row : row) * step(variable.latitude);
        T* const to = values.data() + t * stride + row * columns;
        for (std::size_t column = 0; column < columns; ++column)
          to[column] = static_cast<T>(variable.packing(from[column * step(variable.longitude)]));
      }
  }

  detail::NetcdfHandle file_;
  NetcdfOptions options_;
  std::vector<detail::NetcdfAxis> axes_;  // of the dimensions
  std::vector<Variable> variables_;
  std::vector<Channel> channels_;
  std::vector<Place> places_;  // of the channels
  std::vector<std::string> left_out_;
  int time_ = -1, latitude_ = -1, longitude_ = -1;  // dimensions
  bool flipped_ = false;
  std::optional<TimeAxis> times_;
  std::optional<LatitudeGrid> grid_;
  std::vector<double> buffer_;
  std::uint64_t bytes_read_ = 0;
};

enum class Weighting {
  area,   // a row counts for the area of its cells
  equal,  // every cell counts the same
};

/// Mean and standard deviation of channels over chosen times, for instance those of the training part; missing values
/// are passed over. One field is in memory at a time. Throws Error where a channel has no value at all.
inline std::vector<ChannelStatistics> statistics(NetcdfFile& file, std::vector<std::int64_t> const& times,
                                                 std::vector<std::int64_t> const& channels,
                                                 Weighting weighting = Weighting::area) {
  auto const& grid = file.grid();
  std::vector<double> const weights =
      weighting == Weighting::area ? grid.weights() : std::vector<double>(grid.height(), 1.0);
  std::vector<ChannelStatistics> results;
  for (std::int64_t const channel : channels) {
    StatisticsSum sum;
    for (std::int64_t const time : times) {
      auto const field = file.read<double>({time}, {channel});
      sum.add_field(std::span<double const>(field), weights);
    }
    results.push_back(sum.result(file.channels().at(static_cast<std::size_t>(channel)).name));
  }
  return results;
}

}  // namespace dchag
