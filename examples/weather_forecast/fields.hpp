#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/io/netcdf.hpp>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace sea {

using dchag::require;

/// Values on the grid: of a month of the year each, [12, cells], or of always, [cells]; NaN where there is none.
struct Climate {
  std::string name, unit;
  std::vector<float> values;
};

/// Monthly anomalies of the sea-surface temperature, and what is known of the places: all rows from north to south.
class Fields {
 public:
  static constexpr std::size_t rows = 48, columns = 96, cells = rows * columns;

  /// Reads anom/ and clim/ of a folder. Throws Error where a file is not as expected.
  static Fields read(std::filesystem::path const& folder) {
    Fields fields;
    dchag::NetcdfFile ssta(folder / "anom" / "sea_surface_temperature_anomaly.nc");
    fields.take_grid(ssta);
    std::vector<std::int64_t> all(ssta.time_count());
    std::iota(all.begin(), all.end(), std::int64_t{0});
    require(ssta.times().has_value(), ssta_name(folder), ": has no time axis");
    fields.months_ = ssta.times()->dates();
    fields.anomaly_ = ssta.read<float>(all, {static_cast<std::int64_t>(ssta.channel("ssta"))});
    for (std::size_t i = 0; i < fields.months_.size(); ++i)
      require(fields.number(fields.months_[i].year, fields.months_[i].month) == i, ssta_name(folder),
              ": its times are not months that follow each other");

    fields.add_monthly(folder / "clim" / "sea_ice.nc", {"icec"});
    fields.add_monthly(folder / "clim" / "sea_surface_temperature.nc", {"sst"});
    fields.add_monthly(folder / "clim" / "land.nc", {"stl"});
    fields.add_monthly(folder / "clim" / "soil.nc", {"swl1", "swl2", "swl3"});
    fields.add_monthly(folder / "clim" / "snow.nc", {"snowd"});
    dchag::NetcdfFile surface(folder / "clim" / "surface.nc");
    for (char const* name : {"orog", "lsm", "vegh", "vegl", "alb"}) {
      std::size_t const channel = fields.check_grid(surface).channel(name);
      fields.constant_.push_back(
          {name, surface.channels()[channel].unit, surface.read<float>({0}, {static_cast<std::int64_t>(channel)})});
    }
    fields.choose_cells();
    return fields;
  }

  /// Made-up ones: waves that wander and fade, in a sea between two continents.
  static Fields synthetic() {
    Fields fields;
    dchag::GaussianLatitudes const gaussian(rows);
    std::vector<double> longitudes;
    for (std::size_t c = 0; c < columns; ++c) longitudes.push_back(3.75 * static_cast<double>(c));
    fields.grid_.emplace(gaussian.latitudes, longitudes, "synthetic");
    std::vector<float> wave(6, 0.0f);
    for (int month = 0; month < 420; ++month) {
      fields.months_.push_back({1979 + month / 12, 1 + month % 12, 1});
      for (std::size_t k = 0; k < wave.size(); ++k)
        wave[k] = static_cast<float>(0.9 * wave[k] +
                                     0.3 * dchag::random_normal(7, static_cast<std::uint64_t>(month) * 6 + k));
      for (std::size_t cell = 0; cell < cells; ++cell) fields.anomaly_.push_back(fields.wave_at(wave, cell));
    }
    for (char const* name : {"icec", "sst", "stl", "swl1", "swl2", "swl3", "snowd"}) {
      fields.monthly_.push_back({name, "1", {}});
      for (std::size_t i = 0; i < 12 * cells; ++i)
        fields.monthly_.back().values.push_back(name[0] == 'i' ? 0.0f : static_cast<float>(i % 97) / 97);
    }
    for (char const* name : {"orog", "lsm", "vegh", "vegl", "alb"}) {
      fields.constant_.push_back({name, "1", {}});
      for (std::size_t cell = 0; cell < cells; ++cell)
        fields.constant_.back().values.push_back(cell % columns % 48 < 12 ? 1.0f : 0.0f);
    }
    fields.choose_cells();
    return fields;
  }

  dchag::LatitudeGrid const& grid() const { return *grid_; }
  std::vector<dchag::Date> const& months() const { return months_; }
  std::vector<Climate> const& monthly() const { return monthly_; }
  std::vector<Climate> const& constant() const { return constant_; }

  /// Which month that is, counted from the first one on; it need not be there.
  std::size_t number(int year, int month) const {
    return static_cast<std::size_t>((year - months_.front().year) * 12 + month - months_.front().month);
  }

  float anomaly(std::size_t month, std::size_t cell) const { return anomaly_[month * cells + cell]; }

  bool land(std::size_t cell) const { return of(constant_, "lsm").values[cell] >= 0.5f; }
  /// Is it of the sea within 60 degrees of the equator that has no ice in any month? There the forecasts are made.
  bool sea(std::size_t cell) const { return sea_[cell] != 0; }

 private:
  static std::string ssta_name(std::filesystem::path const& folder) {
    return (folder / "anom" / "sea_surface_temperature_anomaly.nc").string();
  }

  static Climate const& of(std::vector<Climate> const& list, std::string const& name) {
    for (auto const& climate : list)
      if (climate.name == name) return climate;
    dchag::fail("there is no field ", name);
  }

  void take_grid(dchag::NetcdfFile const& file) {
    grid_ = file.grid();
    require(grid_->height() == rows && grid_->width() == columns, "the anomalies are on a grid of ", grid_->height(),
            " x ", grid_->width(), ", expected 48 x 96");
  }
  dchag::NetcdfFile& check_grid(dchag::NetcdfFile& file) const {
    require(file.grid().latitudes() == grid_->latitudes() && file.grid().longitudes() == grid_->longitudes(),
            "a climatology is on another grid than the anomalies, beginning at ", file.grid().latitudes()[0]);
    return file;
  }

  void add_monthly(std::filesystem::path const& path, std::vector<std::string> const& names) {
    dchag::NetcdfFile file(path);
    check_grid(file);
    require(file.times() && file.time_count() == 12, path.string(), ": has ", file.time_count(),
            " times, expected the 12 months");
    std::vector<std::int64_t> months;
    for (int month = 1; month <= 12; ++month)
      months.push_back(static_cast<std::int64_t>(file.times()->at_month((*file.times())[0].year, month)));
    for (auto const& name : names) {
      std::size_t const channel = file.channel(name);
      monthly_.push_back(
          {name, file.channels()[channel].unit, file.read<float>(months, {static_cast<std::int64_t>(channel)})});
    }
  }

  float wave_at(std::vector<float> const& wave, std::size_t cell) const {
    double const degree = std::acos(-1.0) / 180, latitude = grid_->latitudes()[cell / columns] * degree,
                 longitude = grid_->longitudes()[cell % columns] * degree;
    return static_cast<float>(std::cos(latitude) * (wave[0] * std::cos(longitude) + wave[1] * std::sin(longitude)) +
                              wave[2] * std::sin(2 * latitude) + wave[3] * std::cos(2 * longitude + latitude) +
                              wave[4] * std::cos(latitude) + wave[5] * std::sin(3 * longitude));
  }

  void choose_cells() {
    auto const& ice = of(monthly_, "icec").values;
    for (std::size_t cell = 0; cell < cells; ++cell) {
      float most = 0;
      for (std::size_t month = 0; month < 12; ++month)
        if (float const part = ice[month * cells + cell]; part > most) most = part;
      sea_.push_back(!land(cell) && std::abs(grid_->latitudes()[cell / columns]) < 60 && most < 0.05f);
    }
  }

  std::optional<dchag::LatitudeGrid> grid_;
  std::vector<dchag::Date> months_;
  std::vector<float> anomaly_;  // [months, cells]
  std::vector<Climate> monthly_, constant_;
  std::vector<char> sea_;
};

}  // namespace sea
