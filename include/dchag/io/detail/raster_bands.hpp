#pragma once

#include <cpl_vsi.h>
#include <gdal.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/gdal.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/window.hpp>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// A band of a raster, as its file describes it.
struct RasterBand {
  Channel channel;
  Dtype dtype = Dtype::F32;
  std::optional<double> nodata{};  // the stored number that stands for no data
  double scale = 1, offset = 0;    // a value is scale * stored + offset
};

namespace detail {

inline std::string text_or_empty(char const* text) { return text == nullptr ? "" : text; }

inline std::string text(Window const& window) {
  std::ostringstream text;
  text << "a window of " << window.height << " x " << window.width << " pixels from row " << window.top << ", column "
       << window.left;
  return text.str();
}

/// Throws Error unless the window is one of an image of these sides.
inline void check_inside(std::string const& path, char const* verb, Window const& window, Index height, Index width) {
  auto const inside = [](Index start, Index extent, Index side) {
    return start >= 0 && extent > 0 && start < side && extent <= side - start;
  };
  require(inside(window.top, window.height, height) && inside(window.left, window.width, width), path, ": ", verb, ' ',
          text(window), ", it has ", height, " x ", width, " pixels");
}

struct GdalWindow {
  int left, top, width, height;
};
inline GdalWindow gdal_window(Window const& window) {
  return {static_cast<int>(window.left), static_cast<int>(window.top), static_cast<int>(window.width),
          static_cast<int>(window.height)};
}

/// How many nanometres are one of that unit; none where it is no unit of length that is known.
inline std::optional<double> nanometres_in(std::string_view unit) {
  std::string name(unit);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (char const* known : {"nanometers", "nanometer", "nanometres", "nanometre", "nm"})
    if (name == known) return 1.0;
  for (char const* known :
       {"micrometers", "micrometer", "micrometres", "micrometre", "microns", "micron", "um", "\xC2\xB5m", "\xCE\xBCm"})
    if (name == known) return 1000.0;
  return {};
}

inline std::optional<double> positive_number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  double value = 0;
  auto const result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || !std::isfinite(value) || value <= 0) return {};
  return value;
}

/// From the metadata of a band: ENVI's "wavelength" and "wavelength_units", or CENTRAL_WAVELENGTH_UM of the domain
/// IMAGERY. None where it is absent or of a unit that is not known. What ENVI's reader appends to the name is removed.
inline std::optional<double> wavelength_of(GDALRasterBandH band, std::string& name) {
  if (char const* micrometres = GDALGetMetadataItem(band, "CENTRAL_WAVELENGTH_UM", "IMAGERY")) {
    auto const value = positive_number(micrometres);
    return value ? std::optional(*value * 1000) : std::nullopt;
  }
  std::string const wavelength = text_or_empty(GDALGetMetadataItem(band, "wavelength", nullptr));
  std::string const unit = text_or_empty(GDALGetMetadataItem(band, "wavelength_units", nullptr));
  std::string const appended = " (" + wavelength + (unit.empty() ? "" : " " + unit) + ")";
  if (!wavelength.empty() && name.size() > appended.size() && name.ends_with(appended))
    name.resize(name.size() - appended.size());
  auto const number = positive_number(wavelength), nanometres = nanometres_in(unit);
  return number && nanometres ? std::optional(*number * *nanometres) : std::nullopt;
}

inline std::optional<double> nodata_of(GDALRasterBandH band, GDALDataType type) {
  int has = FALSE;
  double value = 0;
  if (type == GDT_Int64)
    value = static_cast<double>(GDALGetRasterNoDataValueAsInt64(band, &has));
  else if (type == GDT_UInt64)
    value = static_cast<double>(GDALGetRasterNoDataValueAsUInt64(band, &has));
  else
    value = GDALGetRasterNoDataValue(band, &has);
  return has != FALSE ? std::optional(value) : std::nullopt;
}

/// Throws Error where the band's numbers are complex.
inline RasterBand raster_band(std::string const& path, GDALRasterBandH band, int number) {
  auto const type = GDALGetRasterDataType(band);
  auto const dtype = dtype_of_gdal(type);
  require(dtype.has_value(), path, ": band ", number, " holds numbers of the type ",
          text_or_empty(GDALGetDataTypeName(type)), ": expected integers, Float32 or Float64");
  RasterBand result{{text_or_empty(GDALGetDescription(band)), text_or_empty(GDALGetRasterUnitType(band))}, *dtype};
  result.channel.wavelength = wavelength_of(band, result.channel.name);
  if (result.channel.name.empty()) result.channel.name = "band " + std::to_string(number);
  result.nodata = nodata_of(band, type);
  int has = FALSE;
  double value = GDALGetRasterScale(band, &has);
  if (has != FALSE) result.scale = value;
  value = GDALGetRasterOffset(band, &has);
  if (has != FALSE) result.offset = value;
  require(std::isfinite(result.scale) && std::isfinite(result.offset), path, ": band ", number, " has scale ",
          result.scale, " and offset ", result.offset, ", expected finite numbers");
  return result;
}

/// Throws Error where an ENVI file is shorter than its header says: GDAL would read zeros.
inline void check_length(std::string const& path, GDALDatasetH dataset) {
  auto const entry = [&](char const* name) { return text_or_empty(GDALGetMetadataItem(dataset, name, "ENVI")); };
  bool const envi = text_or_empty(GDALGetDriverShortName(GDALGetDatasetDriver(dataset))) == "ENVI";
  VSIStatBufL file;
  if (!envi || !(entry("file_compression").empty() || entry("file_compression") == "0") ||
      VSIStatL(path.c_str(), &file) != 0)
    return;
  auto const bytes_each = GDALGetDataTypeSizeBytes(GDALGetRasterDataType(GDALGetRasterBand(dataset, 1)));
  double const needed =
      positive_number(entry("header_offset")).value_or(0) +
      1.0 * GDALGetRasterXSize(dataset) * GDALGetRasterYSize(dataset) * GDALGetRasterCount(dataset) * bytes_each;
  require(static_cast<double>(file.st_size) >= needed, path, ": is ", file.st_size, " bytes long, but its header says ",
          static_cast<std::uint64_t>(needed), ": it is truncated, or the header is of another file");
}

/// The mask of a window, 0 where there is no data; false where GDAL reports an error.
inline bool read_mask(GDALRasterBandH band, Window const& window, std::span<unsigned char> mask) {
  if ((GDALGetMaskFlags(band) & GMF_ALL_VALID) != 0) {
    std::fill(mask.begin(), mask.end(), static_cast<unsigned char>(255));
    return true;
  }
  auto const [left, top, width, height] = gdal_window(window);
  return GDALRasterIOEx(GDALGetMaskBand(band), GF_Read, left, top, width, height, mask.data(), width, height, GDT_Byte,
                        1, width, nullptr) == CE_None;
}

/// The first names of bands, for a message.
inline std::string some_names(std::vector<RasterBand> const& bands) {
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(bands.size(), 8); ++i)
    names += (i == 0 ? "" : ", ") + detail::quoted(bands[i].channel.name);
  return names + (bands.size() > 8 ? ", ... (" + std::to_string(bands.size()) + " in all)" : "");
}

/// What a container of rasters holds, for a message: empty where it holds none.
inline std::string subdatasets(GDALDatasetH dataset) {
  char const* name = CSLFetchNameValue(GDALGetMetadata(dataset, "SUBDATASETS"), "SUBDATASET_1_NAME");
  return name == nullptr ? "" : std::string(": open one of the rasters in it, such as ") + name;
}

}  // namespace detail
}  // namespace dchag
