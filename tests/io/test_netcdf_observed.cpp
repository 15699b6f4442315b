#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <dchag/io/netcdf.hpp>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

namespace dchag::tests {
namespace {

/// Where cmake/data.sh puts the sea-surface temperatures; empty where they are not there.
std::filesystem::path observed() {
  char const *cache = std::getenv("DCHAG_CACHE"), *home = std::getenv("HOME");
  std::filesystem::path folder = cache != nullptr ? cache : home != nullptr ? std::string(home) + "/.cache/dchag" : "";
  folder = folder / "data" / "sea_surface";
  return std::filesystem::exists(folder / "anom") ? folder : std::filesystem::path();
}

// The expected numbers are those of the Python packages netCDF4 1.7, cftime 1.6 and numpy on the same files.
TEST_CASE("observed fields are those that another reader reads") {
  auto const folder = observed();
  if (folder.empty()) {
    MESSAGE("skipped: the fields are not there, bash cmake/data.sh sea_surface fetches them");
    return;
  }
  NetcdfFile ssta(folder / "anom" / "sea_surface_temperature_anomaly.nc");
  REQUIRE(ssta.time_count() == 420);
  CHECK(ssta.grid().kind() == GridKind::gaussian);
  CHECK((*ssta.times())[419] == Date{2013, 12, 1});
  CHECK(ssta.times()->at_month(2009, 12) == 371);
  std::int64_t const channel = static_cast<std::int64_t>(ssta.channel("ssta"));
  CHECK(ssta.read<float>({371}, {channel})[20 * 96 + 50] == 0.2762429714202881f);
  CHECK(ssta.read<float>({0}, {channel})[0] == -1.3180392980575562f);
  std::vector<std::int64_t> times(420);
  std::iota(times.begin(), times.end(), 0);
  auto const equal = statistics(ssta, times, {channel}, Weighting::equal);
  CHECK(equal[0].mean == doctest::Approx(0.011776138928873397).epsilon(1e-9));
  CHECK(equal[0].deviation == doctest::Approx(1.0234874138727854).epsilon(1e-9));
  times.resize(10);
  CHECK(statistics(ssta, times, {channel})[0].mean == doctest::Approx(-0.09643526790816966).epsilon(1e-9));

  NetcdfFile ice(folder / "clim" / "sea_ice.nc");  // filled over land, without an attribute that says so
  std::size_t missing = 0;
  for (float const value : ice.read<float>({0}, {0})) missing += std::isnan(value) ? 1 : 0;
  CHECK(missing == 1106);
  times.resize(0);
  for (std::int64_t month = 0; month < 12; ++month) times.push_back(month);
  auto const sums = statistics(ice, times, {0}, Weighting::equal);
  CHECK(sums[0].mean == doctest::Approx(0.17185420888227468).epsilon(1e-9));
  CHECK(sums[0].deviation == doctest::Approx(0.34069847380012364).epsilon(1e-9));
}

}  // namespace
}  // namespace dchag::tests
