#pragma once

#include <gdal.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/detail/gdal.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/georeference.hpp>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace dchag {

/// What a raster to be written is.
struct RasterLayout {
  Index height = 0, width = 0;
  std::vector<Channel> bands;  // name, unit and wavelength are kept
  Georeference georeference{};
  Dtype dtype = Dtype::F32;                                  // or F64
  double nodata = std::numeric_limits<double>::quiet_NaN();  // what stands in the file for no data
};

namespace detail {

enum class RasterFormat { geotiff, envi };

/// By the file's extension; throws Error for one that is not written.
inline RasterFormat format_of(std::filesystem::path const& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (extension == ".tif" || extension == ".tiff") return RasterFormat::geotiff;
  require(extension == ".img" || extension == ".dat" || extension == ".bsq", path.string(), ": the extension ",
          detail::quoted(extension),
          " is of no raster that can be written: name it .tif or .tiff for GeoTIFF, .img, .dat or ", ".bsq for ENVI");
  return RasterFormat::envi;
}

inline std::filesystem::path envi_header(std::filesystem::path path) { return path.replace_extension(".hdr"); }

/// The files that GDAL keeps beside a raster, besides those that a writer of ours makes.
inline std::vector<std::filesystem::path> companions_of(std::filesystem::path const& path, RasterFormat format) {
  std::vector<std::filesystem::path> companions;
  if (format == RasterFormat::envi) companions.push_back(envi_header(path));
  for (char const* suffix : {".aux.xml", ".ovr", ".msk"}) companions.emplace_back(path.string() + suffix);
  return companions;
}

inline void check(std::filesystem::path const& path, RasterFormat format, RasterLayout const& layout) {
  std::string const name = path.string();
  constexpr Index most = std::numeric_limits<int>::max();
  require(layout.height > 0 && layout.width > 0 && layout.height <= most && layout.width <= most, name,
          ": height = ", layout.height, ", width = ", layout.width, ": expected 1 to ", most, " pixels each");
  require(!layout.bands.empty() && layout.bands.size() <= 65535, name, ": ", layout.bands.size(),
          " bands, expected 1 to 65535");
  require(layout.dtype == Dtype::F32 || layout.dtype == Dtype::F64, name, ": dtype = ", name_of(layout.dtype),
          ": rasters are written as F32 or F64");
  require(layout.dtype == Dtype::F64 || std::isnan(layout.nodata) ||
              static_cast<double>(static_cast<float>(layout.nodata)) == layout.nodata,
          name, ": nodata = ", layout.nodata, " is no F32 number: choose another, or F64");
  if (format == RasterFormat::geotiff) return;
  std::size_t wavelengths = 0;
  for (Channel const& band : layout.bands) {
    wavelengths += band.wavelength.has_value();
    require(!band.name.empty() && band.name.find_first_of(",{}\r\n") == std::string::npos, name, ": band ",
            detail::quoted(band.name), ": a name in ENVI's header is not empty and has no comma, brace or line break: ",
            "choose another, or a GeoTIFF");
  }
  require(wavelengths == 0 || wavelengths == layout.bands.size(), name, ": ", wavelengths, " of ", layout.bands.size(),
          " bands have a wavelength, ENVI's header holds all or none: write a GeoTIFF");
  require(std::filesystem::exists(path) || !std::filesystem::exists(envi_header(path)), name, ": ",
          envi_header(path).string(), " is there without it, and would be written over: choose another name");
}

/// The shortest text that is read back as the same number.
inline std::string number_text(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// Makes the file and describes it; null where GDAL refuses.
inline GdalDataset create_raster(std::filesystem::path const& file, RasterFormat format, RasterLayout const& layout) {
  GdalList options;
  options.set("INTERLEAVE", format == RasterFormat::envi ? "BSQ" : "BAND");
  if (format == RasterFormat::geotiff) options.set("BIGTIFF", "IF_SAFER");
  auto const driver = GDALGetDriverByName(format == RasterFormat::envi ? "ENVI" : "GTiff");
  if (driver == nullptr) return nullptr;
  GdalDataset dataset(GDALCreate(driver, file.c_str(), static_cast<int>(layout.width), static_cast<int>(layout.height),
                                 static_cast<int>(layout.bands.size()),
                                 layout.dtype == Dtype::F64 ? GDT_Float64 : GDT_Float32, options.get()));
  if (dataset == nullptr) return nullptr;
  if (format == RasterFormat::envi)  // which stands in its header
    GDALSetDescription(dataset.get(), file.filename().c_str());
  auto const& [transform, projection] = layout.georeference;
  if (!projection.empty()) GDALSetProjection(dataset.get(), projection.c_str());
  if (transform) GDALSetGeoTransform(dataset.get(), std::array(*transform).data());
  std::string wavelengths;
  for (std::size_t i = 0; i < layout.bands.size(); ++i) {
    auto const band = GDALGetRasterBand(dataset.get(), static_cast<int>(i) + 1);
    auto const& [name, unit, level, wavelength] = layout.bands[i];
    GDALSetDescription(band, name.c_str());
    if (!unit.empty()) GDALSetRasterUnitType(band, unit.c_str());
    if (i == 0 || format == RasterFormat::envi) GDALSetRasterNoDataValue(band, layout.nodata);
    if (!wavelength) continue;
    wavelengths += (wavelengths.empty() ? "{" : ", ") + number_text(*wavelength);
    if (format == RasterFormat::envi) continue;
    GDALSetMetadataItem(band, "wavelength", number_text(*wavelength).c_str(), nullptr);
    GDALSetMetadataItem(band, "wavelength_units", "Nanometers", nullptr);
  }
  if (format == RasterFormat::envi && !wavelengths.empty()) {
    GDALSetMetadataItem(dataset.get(), "wavelength", (wavelengths + "}").c_str(), "ENVI");
    GDALSetMetadataItem(dataset.get(), "wavelength_units", "Nanometers", "ENVI");
  }
  return dataset;
}

}  // namespace detail
}  // namespace dchag
