#include <doctest/doctest.h>

#include <cmath>
#include <dchag/io/netcdf.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "netcdf_writer.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

/// What is said of a file that make(writer) writes; empty where it can be opened and its first field read.
template <class Make>
std::string refusal(Make const& make, int format = NC_NETCDF4) {
  Scratch scratch;
  auto const path = scratch / "bad.nc";
  {
    NetcdfWriter file(path, format);
    make(file);
    file.put_coordinates();
  }
  std::string const text = error_of([&] { NetcdfFile(path).read<float>({0}, {0}); });
  if (!text.empty()) CHECK(text.starts_with(path.string() + ": "));
  return text;
}

NetcdfWriter& with_grid(NetcdfWriter& file) {
  return file.coordinate("lat", {10, 0}, "degrees_north").coordinate("lon", {0, 180}, "degrees_east");
}

TEST_CASE("times that cannot be understood are one clear error") {
  auto const of_time = [](std::vector<double> const& times, char const* unit, char const* calendar) {
    return refusal([&](NetcdfWriter& file) {
      if (times.empty())
        file.dimension("time", NC_UNLIMITED).variable("time", NC_DOUBLE, {"time"}).text("units", unit);
      else
        file.coordinate("time", times, unit).text("calendar", calendar);
      with_grid(file).variable("f", NC_FLOAT, {"time", "lat", "lon"});
    });
  };
  CHECK(of_time({0}, "days since 2000-01-01", "standard").empty());
  CHECK(holds(of_time({}, "days since 2000-01-01", ""), "has zero times"));
  CHECK(holds(of_time({0}, "days since 2000-01-01", "martian"), "has the calendar \"martian\""));
  CHECK(holds(of_time({0}, "fortnights since 2000-01-01", "standard"), "has the unit of time \"fortnights since"));
  CHECK(holds(of_time({0, std::nan("")}, "days since 2000-01-01", "standard"),
              "\"time\" is no finite number at entry 1"));
  CHECK(holds(of_time({1e29}, "days since 2000-01-01", "standard"), "a million years away"));
}

TEST_CASE("coordinates that are none are one clear error") {
  auto const of_latitudes = [](std::vector<double> const& latitudes) {
    return refusal([&](NetcdfWriter& file) {
      file.coordinate("lat", latitudes, "degrees_north").coordinate("lon", {0}, "degrees_east");
      file.variable("f", NC_FLOAT, {"lat", "lon"});
    });
  };
  CHECK(of_latitudes({20, 10}).empty());
  CHECK(holds(of_latitudes({20, std::nan("")}), "\"lat\" is no finite number at entry 1"));
  CHECK(holds(of_latitudes({20, NC_FILL_DOUBLE}), "\"lat\" is no finite number at entry 1"));
  CHECK(holds(of_latitudes({20, 200}), "is not within 90 degrees"));
  CHECK(holds(of_latitudes({20, 10, 15}), "must fall or rise"));
  CHECK(holds(refusal([](NetcdfWriter& file) {
                file.dimension("lat", 2).variable("lat", NC_CHAR, {"lat"}).coordinate("lon", {0}, "degrees_east");
                file.variable("f", NC_FLOAT, {"lat", "lon"});
              }),
              "its coordinate variable \"lat\" is of a type that is no number"));
}

TEST_CASE("a variable that is no field is left out, and named where it is missed") {
  std::string const text = refusal([](NetcdfWriter& file) {
    with_grid(file).dimension("name", 4).dimension("row", 2).coordinate("plev", {1}, "hPa");
    file.coordinate("member", {1}, "1");
    file.variable("label", NC_CHAR, {"lat", "lon"}).variable("bare", NC_FLOAT, {"row", "lon"});
    file.variable("zonal", NC_FLOAT, {"lat"}).variable("ensemble", NC_FLOAT, {"member", "plev", "lat", "lon"});
  });
  CHECK(holds(text, "has no field on latitudes and longitudes; left out: "));
  CHECK(holds(text, "label (its values are no numbers)"));
  CHECK(holds(text, "bare (its dimension row has no coordinate variable)"));
  CHECK(holds(text, "zonal (it has not both latitudes and longitudes)"));
  CHECK(holds(text, "ensemble (it has two axes of a kind)"));
  CHECK(holds(refusal([](NetcdfWriter& file) { file.dimension("x", 2).variable("x", NC_FLOAT, {"x"}); }),
              "has no field on latitudes and longitudes"));
  CHECK(holds(error_of([] {
                Scratch scratch;
                { NetcdfWriter(scratch / "a.nc"); }
                NetcdfFile(scratch / "a.nc", {.variables = {"f"}});
              }),
              "has no variable \"f\""));
}

TEST_CASE("attributes of another kind than theirs are one clear error") {
  auto const of = [](auto const& describe) {
    return refusal([&](NetcdfWriter& file) {
      with_grid(file).variable("f", NC_SHORT, {"lat", "lon"});
      describe(file);
    });
  };
  CHECK(holds(of([](NetcdfWriter& file) { file.text("scale_factor", "0.1"); }),
              "the attribute scale_factor of its variable \"f\" is no number"));
  CHECK(holds(of([](NetcdfWriter& file) { file.numbers("scale_factor", NC_DOUBLE, {1, 2}); }), "has 2 numbers"));
  CHECK(holds(of([](NetcdfWriter& file) { file.numbers("scale_factor", NC_DOUBLE, {0}); }), "scale_factor = 0"));
  CHECK(
      holds(of([](NetcdfWriter& file) { file.numbers("add_offset", NC_DOUBLE, {std::nan("")}); }), "add_offset = nan"));
  CHECK(holds(of([](NetcdfWriter& file) { file.numbers("units", NC_INT, {1}); }),
              "the attribute units of its variable \"f\" is no text"));
  CHECK(holds(of([](NetcdfWriter& file) { file.numbers("valid_range", NC_SHORT, {1}); }), "expected two"));
}

TEST_CASE("two channels of one name are refused") {
  Scratch scratch;
  auto const path = scratch / "twice.nc";
  {
    NetcdfWriter file(path);
    with_grid(file).variable("t2m", NC_FLOAT, {"lat", "lon"}).text("standard_name", "air_temperature");
    file.variable("t10m", NC_FLOAT, {"lat", "lon"}).text("standard_name", "air_temperature").put_coordinates();
  }
  CHECK(NetcdfFile(path).channels().size() == 2);
  CHECK(holds(error_of([&] { NetcdfFile(path, {.names = NetcdfOptions::Names::standard}); }),
              "two of its channels are called \"air_temperature\""));
  CHECK(NetcdfFile(path, {NetcdfOptions::Names::standard, {"t10m"}}).channels().size() == 1);
}

TEST_CASE("huge sizes are refused before memory is asked for") {
  std::size_t const huge = std::size_t{1} << 40;
  CHECK(holds(refusal([&](NetcdfWriter& file) {
                file.dimension("lat", huge).variable("lat", NC_DOUBLE, {"lat"}).coordinate("lon", {0}, "degrees_east");
                file.variable("f", NC_FLOAT, {"lat", "lon"});
              }),
              "\"lat\" has 1099511627776 entries, at most 1048576 are allowed"));
  CHECK(holds(refusal([&](NetcdfWriter& file) {
                file.dimension("plev", huge).variable("plev", NC_DOUBLE, {"plev"});
                with_grid(file).variable("f", NC_FLOAT, {"plev", "lat", "lon"});
              }),
              "\"plev\" has 1099511627776 entries"));
  Scratch scratch;
  auto const path = scratch / "large.nc";
  {
    NetcdfWriter file(path);
    std::vector<double> latitudes(20000), longitudes(20000);
    for (std::size_t i = 0; i < 20000; ++i) {
      latitudes[i] = 90 - 0.009 * static_cast<double>(i);
      longitudes[i] = 0.018 * static_cast<double>(i);
    }
    file.coordinate("lat", latitudes, "degrees_north").coordinate("lon", longitudes, "degrees_east");
    file.variable("f", NC_FLOAT, {"lat", "lon"}).put_coordinates();
  }
  CHECK(holds(error_of([&] { NetcdfFile{path}; }), "its grid of 20000 x 20000 has more than 268435456 cells"));
}

TEST_CASE("a shortened file is an error at whatever byte it ends, and what is none is none") {
  Scratch scratch;
  auto const path = scratch / "whole.nc", cut = scratch / "cut.nc";
  for (int const format : {0, NC_64BIT_OFFSET, NC_64BIT_DATA, NC_NETCDF4})
    for (std::size_t const fixed : {3u, 0u}) {  // times of a fixed number, and records
      CAPTURE(format);
      CAPTURE(fixed);
      {
        NetcdfWriter file(path, format);
        file.dimension("time", fixed == 0 ? NC_UNLIMITED : fixed).variable("time", NC_DOUBLE, {"time"});
        with_grid(file.text("units", "days since 2000-01-01"));
        file.variable("f", NC_SHORT, {"time", "lat", "lon"}).text("units", "K");
        file.variable("g", NC_DOUBLE, {"time", "lat", "lon"}).put_coordinates().put("time", {3}, {0, 1, 2});
        file.put("f", {3, 2, 2}, std::vector<double>(12, 1)).put("g", {3, 2, 2}, std::vector<double>(12, 1));
      }
      CHECK(NetcdfFile(path).read<float>({0, 1, 2}, {0, 1}) == std::vector<float>(24, 1));
      std::filesystem::copy_file(path, cut, std::filesystem::copy_options::overwrite_existing);
      std::uintmax_t const size = std::filesystem::file_size(path), step = size > 2000 ? 499 : 3;
      for (std::uintmax_t length = size - 1; length < size; length -= step) {
        std::filesystem::resize_file(cut, length);
        std::string const text = error_of([&] { NetcdfFile{cut}; });
        REQUIRE(text.starts_with(cut.string() + ": "));
      }
    }
  spew(cut, "latitude,longitude\n1,2\n");
  CHECK(holds(error_of([&] { NetcdfFile{cut}; }), "cannot be opened as a NetCDF file"));
  CHECK(holds(error_of([&] { NetcdfFile{scratch / "none.nc"}; }), "no such file"));
  CHECK(holds(error_of([] { NetcdfFile{"http://localhost/weather.nc"}; }), "no such file"));
  CHECK(holds(error_of([&] { NetcdfFile{scratch / "."}; }), "is not a regular file"));
}

}  // namespace
}  // namespace dchag::tests
