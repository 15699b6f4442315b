#pragma once

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/detail/font.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dchag {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
  bool operator==(Colour const&) const = default;
};

inline constexpr Colour black{0, 0, 0}, white{255, 255, 255}, grey{128, 128, 128};

/// The colour a part of the way, 0 to 1, from one to another.
inline Colour mix(Colour from, Colour to, double part) {
  auto const channel = [&](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + part * (b - a)));
  };
  return {channel(from.red, to.red), channel(from.green, to.green), channel(from.blue, to.blue)};
}

/// Dark violet over green to yellow for 0 to 1, even to the eye; grey for what is not a number.
inline Colour colour_map(double value) {
  constexpr std::array<Colour, 9> anchors{{{68, 1, 84},
                                           {71, 44, 122},
                                           {59, 81, 139},
                                           {44, 113, 142},
                                           {33, 144, 141},
                                           {39, 173, 129},
                                           {92, 200, 99},
                                           {170, 220, 50},
                                           {253, 231, 37}}};
  if (std::isnan(value)) return grey;
  double const place = std::clamp(value, 0.0, 1.0) * (anchors.size() - 1);
  std::size_t const left = std::min(static_cast<std::size_t>(place), anchors.size() - 2);
  return mix(anchors[left], anchors[left + 1], place - static_cast<double>(left));
}

/// An 8-bit RGB picture. x counts columns from the left, y rows from the top; what is drawn outside is left out.
class Picture {
 public:
  /// Throws Error for sides that are not positive or more than 2^28 pixels.
  Picture(int width, int height, Colour background = white) : width_(width), height_(height) {
    require(width > 0 && height > 0 && std::int64_t{width} * height <= (std::int64_t{1} << 28), "picture of ", width,
            " x ", height, " pixels: sides must be positive and hold at most 268435456 pixels");
    pixels_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background);
  }

  int width() const { return width_; }
  int height() const { return height_; }

  /// All pixels, row by row.
  std::span<Colour const> pixels() const { return pixels_; }

  bool contains(int x, int y) const { return x >= 0 && x < width_ && y >= 0 && y < height_; }

  /// The colour of a pixel; throws Error outside of the picture.
  Colour at(int x, int y) const {
    require(contains(x, y), "pixel (", x, ", ", y, ") is outside of a picture of ", width_, " x ", height_);
    return pixels_[index(x, y)];
  }

  void set(int x, int y, Colour colour) {
    if (contains(x, y)) pixels_[index(x, y)] = colour;
  }

  /// Fills a rectangle whose upper left pixel is (left, top).
  void fill(int left, int top, int width, int height, Colour colour) {
    auto const clip = [](int start, int extent, int side) {
      std::int64_t const end = std::clamp<std::int64_t>(std::int64_t{start} + extent, 0, side);
      return std::pair(std::clamp(start, 0, side), static_cast<int>(end));
    };
    auto const [x_begin, x_end] = clip(left, width, width_);
    auto const [y_begin, y_end] = clip(top, height, height_);
    for (int y = y_begin; y < y_end; ++y) {
      for (int x = x_begin; x < x_end; ++x) pixels_[index(x, y)] = colour;
    }
  }

  /// Copies a picture so that its upper left pixel is at (left, top), every pixel zoom times as wide and high.
  void blit(int left, int top, Picture const& picture, int zoom = 1) {
    for (int y = 0; y < picture.height_; ++y) {
      for (int x = 0; x < picture.width_; ++x) {
        fill(left + x * zoom, top + y * zoom, zoom, zoom, picture.pixels_[picture.index(x, y)]);
      }
    }
  }

  /// A line between two points, pixel centres at whole numbers, with smooth edges. Draws nothing where a coordinate is
  /// not finite.
  void line(double x0, double y0, double x1, double y1, Colour colour, double thickness = 1) {
    if (!std::isfinite(x0) || !std::isfinite(y0) || !std::isfinite(x1) || !std::isfinite(y1)) return;
    double const reach = thickness / 2 + 0.5, dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
    auto const pixel = [](double place, int side) { return static_cast<int>(std::clamp<double>(place, -1, side)); };
    int const right = pixel(std::max(x0, x1) + reach, width_ - 1),
              bottom = pixel(std::max(y0, y1) + reach, height_ - 1);
    for (int y = std::max(0, pixel(std::min(y0, y1) - reach, height_)); y <= bottom; ++y) {
      for (int x = std::max(0, pixel(std::min(x0, x1) - reach, width_)); x <= right; ++x) {
        double const along = length2 > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / length2, 0.0, 1.0) : 0.0;
        double const distance = std::hypot(x0 + along * dx - x, y0 + along * dy - y);
        double const coverage = std::clamp(reach - distance, 0.0, 1.0);
        Colour& here = pixels_[index(x, y)];
        if (coverage > 0) here = mix(here, colour, coverage);
      }
    }
  }

  static int text_width(std::string_view text, int scale = 1) {
    return text.empty() ? 0 : (static_cast<int>(text.size()) * detail::glyph_advance - 1) * scale;
  }
  /// From the top of a capital letter to the base line.
  static int text_height(int scale = 1) { return 7 * scale; }

  /// A line of ASCII with its upper left corner at (left, top).
  void text(int left, int top, std::string_view text, Colour colour = black, int scale = 1) {
    each_ink(text, [&](int x, int y) { fill(left + x * scale, top + y * scale, scale, scale, colour); });
  }

  /// The same turned to read upwards, its lower left corner at (left, bottom).
  void text_upwards(int left, int bottom, std::string_view text, Colour colour = black, int scale = 1) {
    each_ink(text, [&](int x, int y) { fill(left + y * scale, bottom - (x + 1) * scale, scale, scale, colour); });
  }

 private:
  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x);
  }

  template <class Use>
  static void each_ink(std::string_view text, Use use) {
    int start = 0;
    for (char const character : text) {
      for (int row = 0; row < detail::glyph_height; ++row) {
        for (int column = 0; column < detail::glyph_width; ++column) {
          if (detail::glyph_ink(character, column, row)) use(start + column, row);
        }
      }
      start += detail::glyph_advance;
    }
  }

  int width_;
  int height_;
  std::vector<Colour> pixels_;
};

/// Writes a picture as PNG, aside and renamed. Throws Error where libpng or the system refuses (full disk).
inline void write_png(std::filesystem::path const& path, Picture const& picture) {
  static_assert(sizeof(Colour) == 3, "libpng takes the pixels as they are, three bytes each");
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width());
  image.height = static_cast<png_uint_32>(picture.height());
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> bytes(size);
  int const done = png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.pixels().data(), 0, nullptr);
  require(done != 0, path.string(), ": cannot be encoded as PNG: ", image.message);
  AtomicFile file(path);
  file.write(std::span(bytes).first(size));
  file.commit();
}

}  // namespace dchag
