#include <doctest/doctest.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <dchag/io/picture.hpp>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "full_disk.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

constexpr Colour red{255, 0, 0}, blue{0, 0, 255};

std::size_t count(Picture const& picture, Colour colour) {
  std::size_t found = 0;
  for (Colour const pixel : picture.pixels()) found += pixel == colour;
  return found;
}

TEST_CASE("a picture comes back from its PNG pixel for pixel") {
  Scratch scratch;
  auto const path = scratch / "picture.png";
  Picture picture(37, 23);
  for (int y = 0; y < 23; ++y) {
    for (int x = 0; x < 37; ++x) {
      picture.set(x, y, {static_cast<std::uint8_t>(7 * x), static_cast<std::uint8_t>(11 * y), 99});
    }
  }
  write_png(path, picture);
  CHECK(scratch.entries() == 1);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()) != 0);
  CHECK(image.width == 37);
  CHECK(image.height == 23);
  CHECK(image.format == PNG_FORMAT_RGB);
  std::vector<Colour> pixels(37 * 23);
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) != 0);
  CHECK(pixels == std::vector<Colour>(picture.pixels().begin(), picture.pixels().end()));
}

TEST_CASE("a full disk leaves the old picture") {
  Scratch scratch;
  auto const path = scratch / "picture.png";
  spew(path, "old");
  std::string message;
  {
    FullDisk disk(100);
    message = error_of([&] { write_png(path, Picture(500, 500)); });
  }
  CHECK(holds(message, path.string() + ": cannot be written at byte 100"));
  CHECK(slurp(path) == "old");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("sides that are no picture are refused") {
  CHECK(holds(error_of([] { Picture(0, 5); }), "picture of 0 x 5 pixels"));
  CHECK(holds(error_of([] { Picture(5, -1); }), "must be positive"));
  CHECK(holds(error_of([] { Picture(2'000'000'000, 2'000'000'000); }), "at most"));
  CHECK(holds(error_of([] { Picture(5, 5).at(5, 0); }), "outside"));
}

TEST_CASE("what is drawn outside is left out") {
  Picture picture(10, 10);
  int const far = std::numeric_limits<int>::max();
  picture.set(-1, 0, red);
  picture.set(10, 9, red);
  picture.fill(-5, -5, 5, 100, red);
  picture.fill(10, 0, far, 5, red);
  picture.fill(3, 3, -2, 5, red);
  picture.blit(10, 10, Picture(4, 4, red), 3);
  picture.text(-100, 0, "text", red);
  picture.text(0, 10, "text", red);
  picture.line(-5, -5, 20, -5, red);
  picture.line(NAN, 0, 5, 5, red);
  picture.line(0, 0, INFINITY, 5, red);
  CHECK(count(picture, white) == 100);
  picture.fill(8, 8, far, far, red);
  CHECK(count(picture, red) == 4);
  picture.line(5, -1e9, 5, 1e9, blue);
  CHECK(count(picture, blue) == 10);
}

TEST_CASE("a blit is exact at every zoom") {
  Picture picture(6, 6), stamp(2, 1);
  stamp.set(0, 0, red);
  stamp.set(1, 0, blue);
  picture.blit(1, 2, stamp, 2);
  CHECK(picture.at(1, 2) == red);
  CHECK(picture.at(2, 3) == red);
  CHECK(picture.at(3, 2) == blue);
  CHECK(picture.at(4, 3) == blue);
  CHECK(count(picture, white) == 36 - 8);
}

TEST_CASE("lines have their thickness and end at their ends") {
  Picture picture(20, 20);
  picture.line(3, 5, 12, 5, red, 1);
  CHECK(count(picture, red) == 10);
  CHECK(picture.at(3, 5) == red);
  CHECK(picture.at(12, 5) == red);
  CHECK(picture.at(13, 5) != red);
  picture.line(10, 8, 10, 18, blue, 3);
  CHECK(picture.at(9, 12) == blue);
  CHECK(picture.at(11, 12) == blue);
  CHECK(picture.at(12, 12) == white);
}

TEST_CASE("text is legible, every printable character its own, and has the width it says") {
  std::vector<Picture> glyphs;
  for (char c = ' '; c <= '~'; ++c) {
    Picture glyph(7, 9);
    glyph.text(0, 0, std::string(1, c));
    CHECK((count(glyph, black) > 0) == (c != ' '));
    for (Picture const& other : glyphs) {
      CHECK_FALSE(std::equal(glyph.pixels().begin(), glyph.pixels().end(), other.pixels().begin()));
    }
    glyphs.push_back(glyph);
  }
  Picture strange(5, 9), picture(100, 100);
  strange.text(0, 0, "\xFF");
  CHECK(count(strange, black) > 0);
  CHECK(Picture::text_width("HH", 2) == 22);
  picture.text(10, 20, "HH", red, 2);
  CHECK(picture.at(10, 20) == red);
  CHECK(picture.at(10 + 21, 20 + 13) == red);
  CHECK(picture.at(10 + 22, 20) == white);
  CHECK(picture.at(10, 20 + 14) == white);
  picture.text_upwards(50, 80, "HH", blue, 2);
  CHECK(picture.at(50, 79) == blue);
  CHECK(picture.at(50 + 13, 80 - 22) == blue);
  CHECK(count(picture, blue) == count(picture, red));
}

TEST_CASE("the colour map rises in brightness from one end to the other") {
  auto const brightness = [](Colour c) { return 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue; };
  for (int i = 1; i <= 100; ++i) {
    CHECK(brightness(colour_map(i / 100.0)) >= brightness(colour_map((i - 1) / 100.0)));
  }
  CHECK(colour_map(-5) == colour_map(0));
  CHECK(colour_map(INFINITY) == colour_map(1));
  CHECK(colour_map(NAN) == grey);
}

}  // namespace
}  // namespace dchag::tests
