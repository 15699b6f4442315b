#include <doctest/doctest.h>

#include <cstdint>
#include <dchag/io/safetensors.hpp>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "full_disk.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

TEST_CASE("a writer refuses what does not fit its announcement, and leaves the old file") {
  Scratch scratch;
  auto const path = scratch / "model.safetensors";
  spew(path, "old");
  auto const with = [&](auto action) {
    return error_of([&] {
      SafetensorsWriter writer(path, {}, {{"w", Dtype::F32, {2}}, {"v", Dtype::F32, {1}}});
      writer.write("v", std::vector<float>{1});
      action(writer);
    });
  };
  std::string const w = path.string() + ": tensor \"w\" (F32 [2]): ";
  CHECK(with([](auto& writer) { writer.commit(); }) == w + "was announced but not written");
  CHECK(with([](auto& writer) { writer.write("w", std::vector<double>{1, 2}); }) == w + "cannot be written from F64");
  CHECK(with([](auto& writer) { writer.write("w", std::vector<float>{1}); }) == w + "has 2 elements, written as 1");
  CHECK(with([](auto& writer) { writer.write_bytes("w", std::vector<std::byte>(9)); }) ==
        w + "has 8 bytes, written as 9");
  CHECK(holds(with([](auto& writer) { writer.write("x", std::vector<float>{1}); }), "\"x\": was not announced"));
  CHECK(holds(with([](auto& writer) { writer.write("v", std::vector<float>{1}); }), "is written twice"));

  auto const announce = [&](std::vector<SafetensorsWriter::Tensor> tensors) {
    return error_of([&] { SafetensorsWriter writer(path, {}, std::move(tensors)); });
  };
  CHECK(holds(announce({{"w", Dtype::F32, {2}}, {"w", Dtype::F32, {2}}}), "is announced twice"));
  CHECK(holds(announce({{"", Dtype::F32, {2}}}), "no tensor can have this name"));
  CHECK(holds(announce({{"__metadata__", Dtype::F32, {2}}}), "no tensor can have this name"));
  CHECK(holds(announce({{"\xFF", Dtype::F32, {2}}}), "invalid UTF-8"));
  std::size_t const huge = std::size_t{1} << 62;
  CHECK(holds(announce({{"w", Dtype::F32, {huge}}}), "exceeds the size of a file"));
  CHECK(holds(announce({{"w", Dtype::U8, {huge}}, {"v", Dtype::U8, {huge}}}), "exceeds the size of a file"));
  CHECK(slurp(path) == "old");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("pieces that others write make the file of one writer") {
  Scratch scratch;
  std::vector<double> a(12), b{7};
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = 0.5 + static_cast<double>(i);
  std::vector<SafetensorsWriter::Tensor> const tensors{{"a", Dtype::F64, {3, 4}}, {"b", Dtype::F64, {}}};
  {
    SafetensorsWriter writer(scratch / "whole", {{"step", "1"}}, tensors);
    writer.write("a", a);
    writer.write("b", b);
    writer.commit();
  }
  {
    SafetensorsWriter writer(scratch / "pieces", {{"step", "1"}}, tensors);
    auto const aside = writer.share();
    SafetensorsPieces first(aside), second(aside);
    second.write("a", 9, std::span<double const>(a).subspan(9));
    first.write("a", 0, std::span<double const>(a).first(5));
    second.write("b", 0, std::span<double const>(b));
    first.write("a", 5, std::span<double const>(a).subspan(5, 4));
    CHECK(first.written() == 9);
    CHECK(second.written() == 4);
    first.close();
    second.close();
    CHECK_FALSE(std::filesystem::exists(scratch / "pieces"));
    writer.commit();
  }
  CHECK(slurp(scratch / "pieces") == slurp(scratch / "whole"));
  CHECK(scratch.entries() == 2);

  SafetensorsFile const file(scratch / "pieces");
  std::vector<float> some(3);
  file.read_elements("a", 8, std::span<float>(some));
  CHECK(some == std::vector<float>{8.5f, 9.5f, 10.5f});
  CHECK(holds(error_of([&] { file.read_elements("a", 10, std::span<float>(some)); }),
              "tensor \"a\" (F64 [3, 4]): asked for 3 elements from element 10, it has 12"));
}

TEST_CASE("a piece that does not fit its tensor is refused, and so is a file that is not there") {
  Scratch scratch;
  SafetensorsWriter writer(scratch / "model", {}, {{"a", Dtype::F64, {3, 4}}});
  auto const aside = writer.share();
  SafetensorsPieces pieces(aside);
  std::vector<double> const two(2);
  std::vector<float> const narrow(2);
  CHECK(holds(error_of([&] { pieces.write("a", 11, std::span<double const>(two)); }),
              "tensor \"a\" (F64 [3, 4]): cannot take 2 elements of F64 from element 11"));
  CHECK(
      holds(error_of([&] { pieces.write("a", 0, std::span<float const>(narrow)); }), "cannot take 2 elements of F32"));
  CHECK(holds(error_of([&] { pieces.write("b", 0, std::span<double const>(two)); }), "is not in the file"));
  CHECK(pieces.written() == 0);
  CHECK(holds(error_of([&] { SafetensorsPieces absent(scratch / "absent"); }), "absent: no such file"));
}

TEST_CASE("a file that cannot be made as long as it must be is refused, and leaves the old file") {
  Scratch scratch;
  spew(scratch / "model", "before");
  CHECK(holds(error_of([&] {
                SafetensorsWriter writer(scratch / "model", {}, {{"a", Dtype::F64, {4000}}});
                FullDisk const full(8192);
                writer.share();
              }),
              "model: cannot be made "));
  CHECK(slurp(scratch / "model") == "before");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("a full disk is one clear error wherever it fills up, and leaves the old file") {
  Scratch scratch;
  auto const path = scratch / "model.safetensors";
  auto const write = [&](float value) {
    SafetensorsWriter writer(path, {}, {{"a", Dtype::F32, {5000}}, {"b", Dtype::F32, {5000}}});
    writer.write("a", std::vector<float>(5000, value));
    writer.write("b", std::vector<float>(5000, value));
    writer.commit();
  };
  write(1);
  auto const before = slurp(path);
  for (rlim_t const bytes : {4u, 60u, 10'000u, 30'000u}) {
    std::string message;
    {
      FullDisk disk(bytes);
      message = error_of([&] { write(2); });
    }
    CHECK(message == path.string() + ": cannot be written at byte " + std::to_string(bytes) +
                         ": File too large; what stood there before is unchanged");
    CHECK(slurp(path) == before);
    CHECK(scratch.entries() == 1);
  }
  write(3);
  CHECK(SafetensorsFile(path).read<float>("b") == std::vector<float>(5000, 3));
}

}  // namespace
}  // namespace dchag::tests
