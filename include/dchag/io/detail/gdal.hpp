#pragma once

#include <cpl_error.h>
#include <cpl_string.h>
#include <gdal.h>

#include <array>
#include <dchag/core/error.hpp>
#include <dchag/io/dtype.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace dchag::detail {

/// While it lives, what GDAL reports as an error in this thread is kept here and not printed; warnings are dropped.
class GdalErrors {
 public:
  GdalErrors() {
    static std::once_flag once;
    std::call_once(once, [] { GDALAllRegister(); });
    CPLPushErrorHandlerEx(&GdalErrors::collect, this);
  }
  GdalErrors(GdalErrors const&) = delete;
  GdalErrors& operator=(GdalErrors const&) = delete;
  ~GdalErrors() { CPLPopErrorHandler(); }

  bool any() const { return any_; }

  /// All of them in one line.
  std::string text() const { return text_.empty() ? "GDAL does not say why" : text_; }

  /// Throws Error, with what GDAL said after the parts, unless the condition holds and nothing was reported.
  template <class... Parts>
  void require_none(bool condition, Parts const&... parts) const {
    if (!condition || any_) fail(parts..., text());
  }

 private:
  static void CPL_STDCALL collect(CPLErr level, CPLErrorNum, char const* message) {
    if (level == CE_Failure || level == CE_Fatal) static_cast<GdalErrors*>(CPLGetErrorHandlerUserData())->add(message);
  }

  void add(std::string_view message) noexcept {
    any_ = true;
    try {
      while (!message.empty() && (message.back() == '\n' || message.back() == '.')) message.remove_suffix(1);
      if (text_.find(message) != text_.npos || text_.size() > 500) return;
      if (!text_.empty()) text_ += "; ";
      for (char const c : message) text_ += c == '\n' ? ' ' : c;
    } catch (...) {  // without memory for it the message stays as it is
    }
  }

  std::string text_;
  bool any_ = false;
};

struct GdalClose {
  void operator()(void* dataset) const {
    GdalErrors const ignored;
    GDALClose(dataset);
  }
};
using GdalDataset = std::unique_ptr<std::remove_pointer_t<GDALDatasetH>, GdalClose>;

/// Name and value pairs in the form that GDAL takes them.
class GdalList {
 public:
  GdalList() = default;
  GdalList(GdalList const&) = delete;
  GdalList& operator=(GdalList const&) = delete;
  ~GdalList() { CSLDestroy(list_); }

  GdalList& set(char const* name, std::string const& value) {
    list_ = CSLSetNameValue(list_, name, value.c_str());
    return *this;
  }
  char** get() const { return list_; }

 private:
  char** list_ = nullptr;
};

inline constexpr std::array gdal_types {
#if GDAL_VERSION_NUM >= 3070000
  std::pair{GDT_Int8, Dtype::I8},
#endif
      std::pair{GDT_Byte, Dtype::U8}, std::pair{GDT_UInt16, Dtype::U16}, std::pair{GDT_Int16, Dtype::I16},
      std::pair{GDT_UInt32, Dtype::U32}, std::pair{GDT_Int32, Dtype::I32}, std::pair{GDT_UInt64, Dtype::U64},
      std::pair{GDT_Int64, Dtype::I64}, std::pair{GDT_Float32, Dtype::F32}, std::pair {
    GDT_Float64, Dtype::F64
  }
};

/// None for complex types.
inline std::optional<Dtype> dtype_of_gdal(GDALDataType type) {
  for (auto const& [gdal, dtype] : gdal_types)
    if (gdal == type) return dtype;
  return {};
}

template <class T>
constexpr GDALDataType gdal_type() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "rasters are read and written as float, double");
  return std::is_same_v<T, float> ? GDT_Float32 : GDT_Float64;
}

}  // namespace dchag::detail
