#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/detail/folder_aside.hpp>
#include <dchag/io/detail/gdal.hpp>
#include <dchag/io/detail/raster_bands.hpp>
#include <dchag/io/detail/raster_output.hpp>
#include <dchag/io/dtype.hpp>
#include <dchag/io/georeference.hpp>
#include <dchag/io/window.hpp>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Needs GDAL: link dchag::raster.
namespace dchag {

/// An image of many bands open for reading, by one thread at a time: ENVI (named by its data, not by its header),
/// GeoTIFF, whatever GDAL reads. Every Error names the file and says what is wrong, in GDAL's words where it is GDAL's.
class RasterFile {
 public:
  /// Throws Error where GDAL cannot read it, and where it has no bands or complex numbers.
  explicit RasterFile(std::filesystem::path path) : path_(std::move(path)) {
    detail::GdalErrors const errors;
    dataset_.reset(GDALOpenEx(path_.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_VERBOSE_ERROR, nullptr,
                              nullptr, nullptr));
    require(dataset_ != nullptr, path_.string(), ": cannot be opened as a raster: ", errors.text());
    int const count = GDALGetRasterCount(dataset_.get());
    require(count > 0, path_.string(), ": has no bands", detail::subdatasets(dataset_.get()));
    for (int band = 1; band <= count; ++band)
      bands_.push_back(detail::raster_band(path_.string(), GDALGetRasterBand(dataset_.get(), band), band));
    detail::check_length(path_.string(), dataset_.get());
    georeference_.transform.emplace();
    if (GDALGetGeoTransform(dataset_.get(), georeference_.transform->data()) != CE_None)
      georeference_.transform.reset();
    georeference_.projection = detail::text_or_empty(GDALGetProjectionRef(dataset_.get()));
  }

  std::filesystem::path const& path() const { return path_; }
  Index height() const { return GDALGetRasterYSize(dataset_.get()); }
  Index width() const { return GDALGetRasterXSize(dataset_.get()); }
  std::vector<RasterBand> const& bands() const { return bands_; }
  Georeference const& georeference() const { return georeference_; }

  std::vector<Channel> channels() const {
    std::vector<Channel> channels;
    for (RasterBand const& band : bands_) channels.push_back(band.channel);
    return channels;
  }

  /// The number, from 0 on, of the band of that name; throws Error where there is none, or more than one.
  Index band(std::string_view name) const {
    std::optional<Index> found;
    for (std::size_t i = 0; i < bands_.size(); ++i) {
      if (bands_[i].channel.name != name) continue;
      require(!found, path_.string(), ": has two bands ", detail::quoted(name), ", ", found.value_or(0) + 1, " and ",
              i + 1, ": choose by number");
      found = static_cast<Index>(i);
    }
    require(found.has_value(), path_.string(), ": has no band ", detail::quoted(name), ", but ",
            detail::some_names(bands_));
    return *found;
  }

  /// Reads some bands, numbered from 0 on, of a window: values [bands, height, width], each scale * stored + offset;
  /// NaN where there is no data, as nodata, a mask or an alpha band tell. Throws Error where the window or a band is
  /// none of this raster, the values are not as many, and where the file is damaged.
  template <std::floating_point T>
  void read(Window const& window, std::span<Index const> bands, std::span<T> values) const {
    check(window, bands, values.size());
    std::size_t const plane = static_cast<std::size_t>(window.pixels());
    std::vector<int> numbers;
    for (Index band : bands) numbers.push_back(static_cast<int>(band) + 1);
    auto const [left, top, width, height] = detail::gdal_window(window);
    detail::GdalErrors const errors;
    bool const done = GDALDatasetRasterIOEx(dataset_.get(), GF_Read, left, top, width, height, values.data(), width,
                                            height, detail::gdal_type<T>(), static_cast<int>(numbers.size()),
                                            numbers.data(), sizeof(T), static_cast<GSpacing>(sizeof(T)) * width,
                                            static_cast<GSpacing>(sizeof(T) * plane), nullptr) == CE_None;
    errors.require_none(done, path_.string(), ": cannot be read at ", detail::text(window), ": ");
    std::vector<unsigned char> mask(plane);
    for (std::size_t i = 0; i < bands.size(); ++i) {
      RasterBand const& band = bands_[static_cast<std::size_t>(bands[i])];
      auto const part = values.subspan(i * plane, plane);
      if (band.scale != 1 || band.offset != 0)
        for (T& value : part) value = static_cast<T>(band.scale * static_cast<double>(value) + band.offset);
      bool const read = detail::read_mask(GDALGetRasterBand(dataset_.get(), numbers[i]), window, mask);
      errors.require_none(read, path_.string(), ": the mask cannot be read at ", detail::text(window), ": ");
      for (std::size_t pixel = 0; pixel < plane; ++pixel)
        if (mask[pixel] == 0) part[pixel] = std::numeric_limits<T>::quiet_NaN();
    }
  }

 private:
  void check(Window const& window, std::span<Index const> bands, std::size_t values) const {
    detail::check_inside(path_.string(), "asked for", window, height(), width());
    require(!bands.empty(), path_.string(), ": asked for no band");
    for (Index band : bands)
      require(band >= 0 && band < static_cast<Index>(bands_.size()), path_.string(), ": asked for band number ", band,
              " counted from 0, it has ", bands_.size(), " bands");
    std::size_t const pixels = static_cast<std::size_t>(window.pixels());
    require(values % pixels == 0 && values / pixels == bands.size(), path_.string(), ": ", bands.size(), " bands of ",
            detail::text(window), " read as ", values, " values");
  }

  std::filesystem::path path_;
  detail::GdalDataset dataset_;
  std::vector<RasterBand> bands_;
  Georeference georeference_;
};

/// Writes a raster window by window, as GeoTIFF or ENVI by the file's extension, uncompressed, band after band. It
/// appears under its name, ENVI's header beside it, with commit(), whole or not at all; without commit the destructor
/// removes what was written, and a raster that stood there stays as it was. One thread at a time. Every member function
/// throws Error where GDAL or the system refuses (full disk, missing directory, rights).
class RasterWriter {
 public:
  /// Throws Error for a layout that the format cannot hold.
  RasterWriter(std::filesystem::path const& path, RasterLayout layout)
      : layout_((detail::check(path, detail::format_of(path), layout), std::move(layout))),
        format_(detail::format_of(path)),
        folder_(path) {
    detail::GdalErrors const errors;
    dataset_ = detail::create_raster(folder_.file(), format_, layout_);
    errors.require_none(dataset_ != nullptr, path.string(), ": cannot be created: ");
  }

  std::filesystem::path const& path() const { return folder_.path(); }
  RasterLayout const& layout() const { return layout_; }

  /// Writes all bands of a window: values [bands, height, width], NaN where there is no data; a number that equals the
  /// layout's nodata will be read as none too. Windows do not overlap. Throws Error for a window that is none of this
  /// raster and for values that are not as many.
  template <std::floating_point T>
  void write(Window const& window, std::span<T const> values) {
    require(dataset_ != nullptr, path().string(), ": written to after commit");
    check(window, values.size());
    std::vector<T> kept;
    if (!std::isnan(layout_.nodata)) {
      kept.assign(values.begin(), values.end());
      for (T& value : kept)
        if (std::isnan(value)) value = static_cast<T>(layout_.nodata);
      values = kept;
    }
    auto const [left, top, width, height] = detail::gdal_window(window);
    detail::GdalErrors const errors;
    bool const done =
        GDALDatasetRasterIOEx(dataset_.get(), GF_Write, left, top, width, height, const_cast<T*>(values.data()), width,
                              height, detail::gdal_type<T>(), static_cast<int>(layout_.bands.size()), nullptr,
                              sizeof(T), static_cast<GSpacing>(sizeof(T)) * width,
                              static_cast<GSpacing>(sizeof(T)) * window.pixels(), nullptr) == CE_None;
    errors.require_none(done, path().string(), ": cannot be written at ", detail::text(window), ": ");
    written_ += window.pixels();
  }

  /// Flushes to the device and puts the raster in place; throws Error where pixels were not written.
  void commit() {
    require(dataset_ != nullptr, path().string(), ": committed twice");
    require(written_ == layout_.height * layout_.width, path().string(), ": ", written_, " pixels were written of ",
            layout_.height, " x ", layout_.width);
    {
      detail::GdalErrors const errors;
      GDALFlushCache(dataset_.get());
      GDALClose(dataset_.release());
      errors.require_none(true, path().string(), ": cannot be written: ");
    }
    folder_.commit(detail::companions_of(path(), format_));
  }

 private:
  void check(Window const& window, std::size_t values) const {
    detail::check_inside(path().string(), "written to", window, layout_.height, layout_.width);
    std::size_t const pixels = static_cast<std::size_t>(window.pixels());
    require(values % pixels == 0 && values / pixels == layout_.bands.size(), path().string(), ": ",
            layout_.bands.size(), " bands of ", detail::text(window), " written as ", values, " values");
  }

  RasterLayout layout_;
  detail::RasterFormat format_;
  detail::FolderAside folder_;
  detail::GdalDataset dataset_;
  Index written_ = 0;
};

}  // namespace dchag
