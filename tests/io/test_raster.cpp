#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <dchag/io/raster.hpp>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "full_disk.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// UTM zone 16 north, pixels of 20 m.
Georeference utm() {
  detail::GdalErrors const quiet;
  return {std::array{455000.0, 20.0, 0.0, 4480000.0, 0.0, -20.0},
          "PROJCS[\"WGS 84 / UTM zone 16N\",GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,"
          "298.257223563]],PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433]],PROJECTION["
          "\"Transverse_Mercator\"],PARAMETER[\"latitude_of_origin\",0],PARAMETER[\"central_meridian\",-87],PARAMETER["
          "\"scale_factor\",0.9996],PARAMETER[\"false_easting\",500000],PARAMETER[\"false_northing\",0],UNIT["
          "\"metre\",1]]"};
}

RasterLayout layout(double nodata = nan) {
  return {.height = 5,
          .width = 7,
          .bands = {{"blue", "W/m2", {}, 450.5}, {"red", "W/m2", {}, 650}, {"infrared", "W/m2", {}, 1100.125}},
          .georeference = utm(),
          .nodata = nodata};
}

/// [3, 5, 7], no number twice; pixel 4 has none in any band.
std::vector<float> pixels() {
  std::vector<float> values(3 * 5 * 7);
  std::iota(values.begin(), values.end(), 0.5f);
  for (std::size_t band = 0; band < 3; ++band) values[35 * band + 4] = nan;
  return values;
}

std::vector<float> cut(std::vector<float> const& values, Window const& window, Index bands = 3) {
  std::vector<float> part;
  for (Index band = 0; band < bands; ++band)
    for (Index row = window.top; row < window.top + window.height; ++row)
      for (Index column = window.left; column < window.left + window.width; ++column)
        part.push_back(values[static_cast<std::size_t>((band * 5 + row) * 7 + column)]);
  return part;
}

void write(std::filesystem::path const& path, RasterLayout const& layout, std::vector<float> const& values) {
  RasterWriter writer(path, layout);
  for (Window const& window : {Window{0, 0, 2, 7}, Window{2, 0, 3, 4}, Window{2, 4, 3, 3}})
    writer.write(window, std::span<float const>(cut(values, window)));
  writer.commit();
}

std::vector<float> read(RasterFile const& file, Window const& window, std::vector<Index> const& bands) {
  std::vector<float> values(bands.size() * static_cast<std::size_t>(window.pixels()));
  file.read(window, bands, std::span(values));
  return values;
}

bool same(std::vector<float> const& a, std::vector<float> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

/// A file of that header and those bytes; answers the path of the bytes.
std::filesystem::path envi(Scratch const& scratch, std::string const& header, std::string const& bytes) {
  spew(scratch / "made.hdr", "ENVI\n" + header);
  spew(scratch / "made.img", bytes);
  return scratch / "made.img";
}

std::string refusal(std::filesystem::path const& path) {
  return error_of([&] {
    RasterFile const file(path);
    std::vector<Index> all(file.bands().size());
    std::iota(all.begin(), all.end(), Index{0});
    read(file, {0, 0, file.height(), file.width()}, all);
  });
}

TEST_CASE("a raster written window by window comes back: numbers, missing pixels, place, names, units, wavelengths") {
  for (char const* name : {"scene.tif", "scene.img"})
    for (double nodata : {std::nan(""), -9999.0}) {
      CAPTURE(name);
      CAPTURE(nodata);
      Scratch scratch;
      write(scratch / name, layout(nodata), pixels());
      RasterFile const file(scratch / name);
      CHECK(file.height() == 5);
      CHECK(file.width() == 7);
      CHECK(file.channels() == layout().bands);
      REQUIRE(file.georeference().transform.has_value());
      CHECK(*file.georeference().transform == *utm().transform);
      CHECK(holds(file.georeference().projection, "16N"));
      for (auto const& band : file.bands()) {
        CHECK(band.dtype == Dtype::F32);
        REQUIRE(band.nodata.has_value());
        CHECK((std::isnan(nodata) ? std::isnan(*band.nodata) : *band.nodata == nodata));
      }
      CHECK(same(read(file, {0, 0, 5, 7}, {0, 1, 2}), pixels()));
      if (file.path().extension() == ".img") {
        float stored = 0;
        std::memcpy(&stored, slurp(file.path()).data() + 4 * sizeof(float), sizeof(float));
        CHECK((std::isnan(nodata) ? std::isnan(stored) : stored == static_cast<float>(nodata)));
      }
      Window const window{1, 2, 3, 4};
      auto expected = cut(pixels(), window);
      std::rotate(expected.begin(), expected.end() - 12, expected.end());
      CHECK(same(read(file, window, {2, 0, 1}), expected));
    }
}

TEST_CASE("the numbers of double precision are kept") {
  Scratch scratch;
  for (char const* name : {"scene.tif", "scene.dat"}) {
    RasterLayout fine{.height = 1, .width = 2, .bands = {{"a"}}, .dtype = Dtype::F64};
    std::vector<double> const values{1 + 1e-15, 1e300};
    RasterWriter writer(scratch / name, fine);
    writer.write(Window{0, 0, 1, 2}, std::span(values));
    writer.commit();
    std::vector<double> back(2);
    RasterFile const file(scratch / name);
    file.read(Window{0, 0, 1, 2}, std::array{Index{0}}, std::span(back));
    CHECK(back == values);
    CHECK_FALSE(file.georeference().transform.has_value());
    CHECK(file.georeference().projection.empty());
  }
}

TEST_CASE("an ENVI file's gains, offsets, micrometres and missing numbers are applied") {
  Scratch scratch;
  std::string bytes;
  for (unsigned value : {1u, 2u, 65535u, 10u, 20u, 30u}) bytes += little_endian(value, 2);
  RasterFile const file(envi(scratch,
                             "samples = 3\nlines = 1\nbands = 2\ndata type = 12\ninterleave = bsq\nbyte order = 0\n"
                             "header offset = 0\ndata ignore value = 65535\nband names = { first, second }\n"
                             "wavelength units = Micrometers\nwavelength = { 0.45, 1.25 }\n"
                             "data gain values = { 0.5, 1 }\ndata offset values = { 100, 0 }\n",
                             bytes));
  CHECK(file.channels() == std::vector<Channel>{{"first", "", {}, 450}, {"second", "", {}, 1250}});
  CHECK(file.bands()[0].dtype == Dtype::U16);
  CHECK(file.bands()[0].nodata == 65535.0);
  CHECK(file.bands()[0].scale == 0.5);
  CHECK(file.bands()[0].offset == 100);
  CHECK(same(read(file, {0, 0, 1, 3}, {0, 1}), {100.5f, 101, nan, 10, 20, 30}));
}

TEST_CASE("bands without a name are numbered, and a wavelength of an unknown unit is none") {
  Scratch scratch;
  std::string const header = "samples = 1\nlines = 1\nbands = 2\ndata type = 1\ninterleave = bsq\nheader offset = 0\n";
  CHECK(RasterFile(envi(scratch, header, "ab")).channels() == std::vector<Channel>{{"band 1"}, {"band 2"}});
  RasterFile const file(envi(scratch, header + "wavelength units = Index\nwavelength = { 1, 2 }\n", "ab"));
  CHECK_FALSE(file.channels()[0].wavelength.has_value());
}

TEST_CASE("bands are found by name, and one that is not there or twice is refused") {
  Scratch scratch;
  auto twice = layout();
  twice.bands[2].name = "blue";
  write(scratch / "scene.tif", twice, pixels());
  RasterFile const file(scratch / "scene.tif");
  CHECK(file.band("red") == 1);
  CHECK(holds(error_of([&] { (void)file.band("green"); }), "has no band \"green\", but \"blue\", \"red\""));
  CHECK(holds(error_of([&] { (void)file.band("blue"); }), "has two bands \"blue\", 1 and 3"));
}

TEST_CASE("what is no raster is refused in one message, and nothing is printed") {
  Scratch scratch;
  std::string const of_one = "samples = 4\nlines = 4\nbands = 1\ninterleave = bsq\nheader offset = 0\n";
  auto const says = [&](std::filesystem::path const& path, char const* part) {
    auto const text = refusal(path);
    CAPTURE(text);
    CHECK(holds(text, path.string()));
    CHECK(holds(text, part));
    CHECK_FALSE(holds(text, "\n"));
  };
  says(scratch / "absent.tif", "No such file");
  spew(scratch / "text.tif", "no raster at all");
  says(scratch / "text.tif", "not recognized");
  spew(scratch / "empty.tif", "");
  says(scratch / "empty.tif", "cannot be opened as a raster");
  says(envi(scratch, of_one + "data type = 6\n", std::string(128, 'x')), "band 1 holds numbers of the type CFloat32");
  says(envi(scratch, of_one + "data type = 4\n", std::string(40, 'x')), "is 40 bytes long, but its header says 64");
  says(envi(scratch, "samples = 2000000000\nlines = 2000000000\nbands = 60000\ndata type = 5\ninterleave = bsq\n", "x"),
       "made.img: ");
  says(envi(scratch, "samples = -4\nlines = 4\nbands = 1\ndata type = 4\ninterleave = bsq\n", "x"), "made.img: ");
  says(scratch / "made.hdr", "header");
  write(scratch / "whole.tif", layout(), pixels());
  std::string const whole = slurp(scratch / "whole.tif");
  for (std::size_t bytes : {whole.size() - 200, whole.size() / 2, std::size_t{100}, std::size_t{8}}) {
    CAPTURE(bytes);
    spew(scratch / "cut.tif", whole.substr(0, bytes));
    says(scratch / "cut.tif", "cut.tif: ");
  }
  // One that says nothing of missing data, so that its band alone is read.
  std::vector<float> ones(64, 1);
  auto const bare =
      GDALCreate(GDALGetDriverByName("GTiff"), (scratch / "bare.tif").c_str(), 8, 8, 1, GDT_Float32, nullptr);
  REQUIRE(bare != nullptr);
  CHECK(GDALRasterIO(GDALGetRasterBand(bare, 1), GF_Write, 0, 0, 8, 8, ones.data(), 8, 8, GDT_Float32, 0, 0) ==
        CE_None);
  GDALClose(bare);
  std::string const bytes = slurp(scratch / "bare.tif");
  spew(scratch / "bare.tif", bytes.substr(0, bytes.size() - 20));
  says(scratch / "bare.tif", "bare.tif: ");
}

TEST_CASE("of a container of several rasters the first is named") {
  detail::GdalErrors const quiet;
  auto const driver = GDALGetDriverByName("netCDF");
  if (driver == nullptr) return;
  Scratch scratch;
  write(scratch / "scene.tif", layout(), pixels());
  {
    detail::GdalDataset const scene(GDALOpen((scratch / "scene.tif").c_str(), GA_ReadOnly));
    detail::GdalDataset const copy(
        GDALCreateCopy(driver, (scratch / "several.nc").c_str(), scene.get(), FALSE, nullptr, nullptr, nullptr));
  }
  auto const text = refusal(scratch / "several.nc");
  CAPTURE(text);
  CHECK(holds(text, "has no bands: open one of the rasters in it, such as NETCDF:"));
}

TEST_CASE("a window or a band that a raster does not have is refused") {
  Scratch scratch;
  write(scratch / "scene.tif", layout(), pixels());
  RasterFile const file(scratch / "scene.tif");
  Index const most = std::numeric_limits<Index>::max();
  for (Window const& window : {Window{0, 0, 6, 7}, Window{5, 0, 1, 1}, Window{-1, 0, 1, 1}, Window{0, 0, 0, 1},
                               Window{1, 1, most, most}, Window{most, 0, most, 1}}) {
    std::vector<float> values(1);
    CHECK(holds(error_of([&] { file.read(window, std::array{Index{0}}, std::span(values)); }), "it has 5 x 7 pixels"));
  }
  CHECK(holds(error_of([&] { read(file, {0, 0, 1, 1}, {3}); }), "band number 3 counted from 0, it has 3 bands"));
  CHECK(holds(error_of([&] { read(file, {0, 0, 1, 1}, {-1}); }), "band number -1"));
  CHECK(holds(error_of([&] { read(file, {0, 0, 1, 1}, {}); }), "asked for no band"));
  std::vector<float> few(5);
  CHECK(holds(error_of([&] { file.read({0, 0, 2, 2}, std::array{Index{0}}, std::span(few)); }), "read as 5 values"));
}

TEST_CASE("a raster that is not completed leaves what stood there, whatever the reason") {
  for (char const* name : {"scene.tif", "scene.img"}) {
    CAPTURE(name);
    Scratch scratch;
    auto const path = scratch / name;
    write(path, layout(), pixels());
    std::size_t const entries = scratch.entries();
    auto const unchanged = [&] {
      CHECK(scratch.entries() == entries);
      CHECK(same(read(RasterFile(path), {0, 0, 5, 7}, {0, 1, 2}), pixels()));
    };
    {
      RasterWriter abandoned(path, layout());
      abandoned.write(Window{0, 0, 5, 7}, std::span<float const>(pixels()));
    }
    unchanged();
    CHECK(holds(error_of([&] {
                  RasterWriter part(path, layout());
                  part.write(Window{0, 0, 2, 7}, std::span<float const>(cut(pixels(), {0, 0, 2, 7})));
                  part.commit();
                }),
                "14 pixels were written of 5 x 7"));
    unchanged();
    {
      auto large = layout();
      large.height = 600, large.width = 700;
      std::vector<float> const values(3 * 600 * 700, 1.0f);
      FullDisk const disk(100'000);
      auto const text = error_of([&] {
        RasterWriter writer(path, large);
        writer.write(Window{0, 0, 600, 700}, std::span(values));
        writer.commit();
      });
      CHECK(holds(text, path.string() + ": cannot be "));
    }
    unchanged();
  }
}

TEST_CASE("a raster takes the place of one of the same name and of its companions") {
  Scratch scratch;
  auto const path = scratch / "scene.img";
  write(path, layout(), pixels());
  spew(path.string() + ".ovr", "overviews of the old one");
  RasterLayout const other{.height = 1, .width = 1, .bands = {{"only"}}};
  RasterWriter writer(path, other);
  writer.write(Window{0, 0, 1, 1}, std::span<float const>(std::array{3.0f}));
  writer.commit();
  CHECK_FALSE(std::filesystem::exists(path.string() + ".ovr"));
  CHECK_FALSE(holds(slurp(scratch / "scene.hdr"), ".part-"));
  RasterFile const file(path);
  CHECK(file.channels() == other.bands);
  CHECK(read(file, {0, 0, 1, 1}, {0}) == std::vector{3.0f});
}

TEST_CASE("where a companion cannot be put in place, the old raster is there again") {
  Scratch scratch;
  auto const path = scratch / "scene.img";
  write(path, layout(), pixels());
  std::size_t const entries = scratch.entries();
  std::string text;
  {
    detail::FolderAside aside(path);
    spew(aside.file(), "new");
    spew(aside.file().replace_extension(".hdr"), "new");
    spew(aside.file().replace_extension(".other"), "new");
    std::filesystem::create_directory(scratch / "scene.other");
    text = error_of([&] { aside.commit({detail::envi_header(path)}); });
    std::filesystem::remove(scratch / "scene.other");
  }
  CHECK(holds(text, "scene.other stands there"));
  CHECK(scratch.entries() == entries);
  CHECK(same(read(RasterFile(path), {0, 0, 5, 7}, {0, 1, 2}), pixels()));
}

TEST_CASE("what cannot be written is refused with its remedy") {
  Scratch scratch;
  auto const says = [&](char const* name, auto change, char const* part) {
    auto changed = layout();
    change(changed);
    auto const text = error_of([&] { RasterWriter(scratch / name, changed); });
    CAPTURE(text);
    CHECK(holds(text, part));
  };
  auto const nothing = [](RasterLayout&) {};
  says("scene.png", nothing, "name it .tif");
  says("absent/scene.tif", nothing, "cannot be created");
  says(
      "scene.tif", [](auto& l) { l.height = 0; }, "height = 0");
  says(
      "scene.tif", [](auto& l) { l.width = Index{1} << 40; }, "width = 1099511627776");
  says(
      "scene.tif", [](auto& l) { l.height = l.width = 2147483647; }, "cannot be created");
  says(
      "scene.tif", [](auto& l) { l.bands.clear(); }, "0 bands");
  says(
      "scene.tif", [](auto& l) { l.dtype = Dtype::I16; }, "dtype = I16");
  says(
      "scene.tif", [](auto& l) { l.nodata = 1e300; }, "no F32 number");
  says(
      "scene.img", [](auto& l) { l.bands[1].name = "a, b"; }, "\"a, b\"");
  says(
      "scene.img", [](auto& l) { l.bands[1].wavelength.reset(); }, "2 of 3 bands have a wavelength");
  spew(scratch / "other.hdr", "of other.dat");
  says("other.img", nothing, "other.hdr is there without it");
  CHECK(scratch.entries() == 1);
  RasterWriter writer(scratch / "scene.tif", layout());
  std::vector<float> const one(3);
  CHECK(holds(error_of([&] { writer.write(Window{0, 0, 1, 2}, std::span(one)); }), "written as 3 values"));
  CHECK(holds(error_of([&] { writer.write(Window{5, 0, 1, 1}, std::span(one)); }), "it has 5 x 7 pixels"));
}

TEST_CASE("a coarser georeference has its corner and larger pixels") {
  auto const coarse = utm().coarser(4);
  CHECK(*coarse.transform == std::array{455000.0, 80.0, 0.0, 4480000.0, 0.0, -80.0});
  CHECK(coarse.projection == utm().projection);
  CHECK_FALSE(Georeference{}.coarser(4).transform.has_value());
}

}  // namespace
}  // namespace dchag::tests
