#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <dchag/io/netcdf.hpp>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "netcdf_writer.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

std::vector<double> counting(std::size_t count, double first = 0) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

/// Three times, two levels, two rows and three columns: a temperature on levels, a static height, and a scalar.
void write_weather(std::filesystem::path const& path, std::vector<double> const& latitudes, int format = NC_NETCDF4) {
  NetcdfWriter file(path, format);
  file.coordinate("time", {0, 31, 59}, "days since 1979-01-01").text("calendar", "noleap");
  file.coordinate("plev", {850, 500.5}, "hPa");
  file.coordinate("lat", latitudes, "degrees_north").coordinate("lon", {0, 120, 240}, "degrees_east");
  file.variable("temperature", NC_FLOAT, {"time", "plev", "lat", "lon"}).text("units", "K");
  file.text("standard_name", "air_temperature").text("long_name", "Temperature on levels");
  file.variable("height", NC_FLOAT, {"lat", "lon"}).text("units", "m");
  file.variable("version", NC_INT, {});
  file.put_coordinates().put("temperature", {3, 2, 2, 3}, counting(36)).put("height", {2, 3}, counting(6, 100));
}

TEST_CASE("a file says what its channels are: names, units, a channel for each level, times and their calendar") {
  Scratch scratch;
  auto const path = scratch / "weather.nc";
  for (int const format : {NC_NETCDF4, 0, NC_64BIT_OFFSET, NC_64BIT_DATA}) {
    CAPTURE(format);
    write_weather(path, {30, -30}, format);
    NetcdfFile const file(path);
    std::vector<Channel> const channels{
        {"temperature_850", "K", 850.0}, {"temperature_500.5", "K", 500.5}, {"height", "m"}};
    CHECK(file.channels() == channels);
    CHECK(file.channel("height") == 2);
    CHECK(file.field(1).variable == "temperature");
    CHECK(file.field(1).standard_name == "air_temperature");
    CHECK(file.field(1).long_name == "Temperature on levels");
    REQUIRE(file.times());
    CHECK(file.times()->calendar() == Calendar::noleap);
    CHECK(file.times()->dates() == std::vector{Date{1979, 1, 1}, Date{1979, 2, 1}, Date{1979, 3, 1}});
    CHECK(file.grid().longitudes() == std::vector<double>{0, 120, 240});
    CHECK(NetcdfFile(path, {.names = NetcdfOptions::Names::standard}).channels()[0].name == "air_temperature_850");
    CHECK(NetcdfFile(path, {.variables = {"height"}}).channels().size() == 1);
    CHECK(error_of([&] { file.channel("rain"); }) ==
          path.string() + ": has no channel \"rain\", only: temperature_850, temperature_500.5, height");
  }
}

TEST_CASE("rows are read from north to south, whichever way the file has them") {
  Scratch scratch;
  auto const path = scratch / "weather.nc";
  for (bool const north_first : {true, false}) {
    write_weather(path, north_first ? std::vector<double>{30, -30} : std::vector<double>{-30, 30});
    NetcdfFile file(path);
    CHECK(file.grid().latitudes() == std::vector<double>{30, -30});
    auto const values = file.read<float>({1}, {0, 2});  // a time of level 850, and the static field
    std::vector<float> const as_stored{12, 13, 14, 15, 16, 17, 100, 101, 102, 103, 104, 105};
    std::vector<float> const turned{15, 16, 17, 12, 13, 14, 103, 104, 105, 100, 101, 102};
    CHECK(values == (north_first ? as_stored : turned));
  }
}

TEST_CASE("the chosen times and channels are read in their order, and no others") {
  Scratch scratch;
  auto const path = scratch / "weather.nc";
  write_weather(path, {30, -30});
  NetcdfFile file(path);
  auto const begin = [](std::int64_t time, std::int64_t channel) {
    return channel == 2 ? 100 : static_cast<float>(time * 12 + channel * 6);
  };
  std::vector<std::vector<std::int64_t>> const lists{{}, {0}, {2, 1}, {0, 1, 2}, {1, 1, 0}};
  for (auto const& times : lists)
    for (auto const& channels : lists) {
      auto const before = file.bytes_read();
      auto const values = file.read<float>(times, channels);
      REQUIRE(values.size() == times.size() * channels.size() * 6);
      std::size_t at = 0, fields = 0;
      for (auto const time : times)
        for (auto const channel : channels)
          for (int i = 0; i < 6; ++i) CHECK(values[at++] == begin(time, channel) + static_cast<float>(i));
      for (auto const channel : channels) fields += times.empty() ? 0 : channel == 2 ? 1 : times.size();
      CHECK(file.bytes_read() - before == fields * 6 * sizeof(float));
    }
  CHECK(error_of([&] { file.read<float>({3}, {0}); }) == path.string() + ": has 3 times, but number 3 is asked for");
  CHECK(holds(error_of([&] { file.read<float>({0}, {-1}); }), "has 3 channels, but number -1"));
  std::vector<float> room(7);
  CHECK(holds(error_of([&] { file.read({0}, {0}, std::span(room)); }), "are 6 values, but there is room for 7"));
}

TEST_CASE("ranks that read their own channels read every byte once between them") {
  Scratch scratch;
  auto const path = scratch / "weather.nc";
  write_weather(path, {30, -30});
  std::uint64_t bytes = 0;
  std::vector<float> joined;
  for (std::vector<std::int64_t> const& own : {std::vector<std::int64_t>{0}, {}, {1, 2}}) {
    NetcdfFile file(path);
    auto const values = file.read<float>({2}, own);
    joined.insert(joined.end(), values.begin(), values.end());
    bytes += file.bytes_read();
  }
  CHECK(joined == NetcdfFile(path).read<float>({2}, {0, 1, 2}));
  CHECK(bytes == 3 * 6 * sizeof(float));
}

TEST_CASE("axes stand in any order in a file") {
  Scratch scratch;
  auto const path = scratch / "turned.nc";
  {
    NetcdfWriter file(path);
    file.coordinate("longitude", {0, 120, 240}, "degrees_east").coordinate("y", {-30, 30}, "degree_N");
    file.coordinate("t", {0, 1}, "hours since 2000-01-01");
    file.variable("f", NC_DOUBLE, {"longitude", "t", "y"});
    file.put_coordinates().put("f", {3, 2, 2}, counting(12));
  }
  NetcdfFile file(path);
  CHECK(file.read<double>({0, 1}, {0}) == std::vector<double>{1, 5, 9, 0, 4, 8, 3, 7, 11, 2, 6, 10});
  CHECK((*file.times())[1] == Date{2000, 1, 1, 3600});
}

/// One row of numbers as stored, of a type and with attributes of its own.
template <class Describe>
std::vector<double> unpacked(nc_type type, std::vector<double> const& stored, Describe const& describe) {
  Scratch scratch;
  auto const path = scratch / "packed.nc";
  {
    NetcdfWriter file(path);
    file.coordinate("lat", {10}, "degrees_north").coordinate("lon", counting(stored.size()), "degrees_east");
    file.variable("f", type, {"lat", "lon"});
    describe(file);
    file.put_coordinates().put("f", {1, stored.size()}, stored);
  }
  return NetcdfFile(path).read<double>({0}, {0});
}

bool same(std::vector<double> const& a, std::vector<double> const& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; i < a.size() && equal; ++i) equal = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
  return equal;
}

TEST_CASE("scale and offset are applied, and what is missing is not a number") {
  double const nan = std::nan("");
  auto const plain = [](NetcdfWriter&) {};
  CHECK(same(unpacked(NC_SHORT, {-7, 0, 4, 5, 100},
                      [](NetcdfWriter& file) {
                        file.numbers("scale_factor", NC_DOUBLE, {0.5}).numbers("add_offset", NC_DOUBLE, {270});
                        file.numbers("_FillValue", NC_SHORT, {-7}).numbers("missing_value", NC_SHORT, {5, 100});
                      }),
             {nan, 270, 272, nan, nan}));
  CHECK(same(unpacked(NC_FLOAT, {1, NC_FILL_FLOAT, nan, 2}, plain), {1, nan, nan, 2}));  // the library's own fill
  CHECK(same(unpacked(NC_BYTE, {-127, -1, 3}, plain), {-127, -1, 3}));                   // bytes have none
  CHECK(same(unpacked(NC_FLOAT, {static_cast<float>(0.1), 1},  // a double attribute of a variable of floats
                      [](NetcdfWriter& file) { file.numbers("missing_value", NC_DOUBLE, {0.1}); }),
             {nan, 1}));
  CHECK(same(unpacked(NC_INT, {-1, 0, 9, 10},
                      [](NetcdfWriter& file) {
                        file.numbers("valid_range", NC_INT, {0, 9});
                      }),
             {nan, 0, 9, nan}));
  CHECK(same(unpacked(NC_INT, {-1, 0, 9, 10},
                      [](NetcdfWriter& file) {
                        file.numbers("valid_min", NC_INT, {0}).numbers("scale_factor", NC_FLOAT, {2});
                      }),
             {nan, 0, 18, 20}));
  CHECK(same(unpacked(NC_BYTE, {-1, 1, -128},
                      [](NetcdfWriter& file) { file.text("_Unsigned", "true").numbers("_FillValue", NC_BYTE, {-1}); }),
             {nan, 1, 128}));
}

TEST_CASE("statistics of chosen times are weighted by area, without what is missing") {
  Scratch scratch;
  auto const path = scratch / "sea.nc";
  {
    NetcdfWriter file(path);
    file.coordinate("time", {0, 1, 2}, "days since 2000-01-01").coordinate("lat", {60, 0}, "degrees_north");
    file.coordinate("lon", {0, 180}, "degrees_east").variable("sst", NC_FLOAT, {"time", "lat", "lon"});
    file.numbers("_FillValue", NC_FLOAT, {-99}).put_coordinates();
    file.put("sst", {3, 2, 2}, {1, 2, 3, -99, 1000, 1000, 1000, 1000, 5, -99, 7, 9});
  }
  NetcdfFile file(path);
  auto const equal = statistics(file, {0, 2}, {0}, Weighting::equal);
  CHECK(equal[0].name == "sst");
  CHECK(equal[0].mean == doctest::Approx(27.0 / 6));
  CHECK(equal[0].deviation == doctest::Approx(std::sqrt(169.0 / 6 - std::pow(27.0 / 6, 2))));
  auto const weights = file.grid().weights();
  double const whole = 3 * weights[0] + 3 * weights[1];
  double const mean = (weights[0] * (1 + 2 + 5) + weights[1] * (3 + 7 + 9)) / whole;
  auto const area = statistics(file, {0, 2}, {0});
  CHECK(weights[1] > weights[0]);
  CHECK(area[0].mean == doctest::Approx(mean));
  CHECK(area[0].deviation == doctest::Approx(std::sqrt((weights[0] * 30 + weights[1] * 139) / whole - mean * mean)));
}

}  // namespace
}  // namespace dchag::tests
