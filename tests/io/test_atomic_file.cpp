#include <doctest/doctest.h>

#include <dchag/io/atomic_file.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "full_disk.hpp"
#include "scratch.hpp"

namespace dchag::tests {
namespace {

std::span<std::byte const> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_CASE("a file appears only on commit, whole, and replaces what stood there") {
  Scratch scratch;
  auto const path = scratch / "file";
  spew(path, "old");
  {
    AtomicFile file(path);
    file.write(bytes("ab"));
    file.write(bytes("cd"));
    file.write_at(1, bytes("X"));
    CHECK(slurp(path) == "old");
    CHECK(file.aside().parent_path() == path.parent_path());
    file.commit();
    CHECK(slurp(path) == "aXcd");
  }
  CHECK(slurp(path) == "aXcd");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("without commit nothing appears and nothing is left aside") {
  Scratch scratch;
  auto const path = scratch / "file";
  spew(path, "old");
  AtomicFile(path).write(bytes("new"));
  CHECK(slurp(path) == "old");
  CHECK(scratch.entries() == 1);
  AtomicFile(scratch / "other").write(bytes("new"));
  CHECK(scratch.entries() == 1);
}

TEST_CASE("two writers of one name do not disturb each other, the last commit stands") {
  Scratch scratch;
  auto const path = scratch / "file";
  AtomicFile first(path), second(path);
  first.write(bytes("first"));
  second.write(bytes("second"));
  second.commit();
  first.commit();
  CHECK(slurp(path) == "first");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("a write past the end leaves zeros before it") {
  Scratch scratch;
  AtomicFile file(scratch / "file");
  file.write_at(3, bytes("x"));
  file.write(bytes("y"));
  file.commit();
  CHECK(slurp(scratch / "file") == std::string("y\0\0x", 4));
}

TEST_CASE("a symbolic link stays and what it points to is replaced") {
  Scratch scratch;
  spew(scratch / "target", "old");
  std::filesystem::create_symlink(scratch / "target", scratch / "link");
  AtomicFile file(scratch / "link");
  file.write(bytes("new"));
  file.commit();
  CHECK(std::filesystem::is_symlink(scratch / "link"));
  CHECK(slurp(scratch / "target") == "new");
}

TEST_CASE("a full disk is one clear error and leaves the old file as it was") {
  Scratch scratch;
  auto const path = scratch / "file";
  spew(path, "old");
  std::string message;
  {
    FullDisk disk(1000);
    message = error_of([&] {
      AtomicFile file(path);
      file.write(bytes(std::string(600, 'a')));
      file.write(bytes(std::string(600, 'b')));
      file.commit();
    });
  }
  CHECK(holds(message, path.string()));
  CHECK(holds(message, "cannot be written at byte 1000"));
  CHECK(slurp(path) == "old");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("what cannot be a file is refused by name") {
  Scratch scratch;
  auto const refusal = [](std::filesystem::path const& path) { return error_of([&] { AtomicFile file(path); }); };
  auto const missing = scratch / "none/file";
  CHECK(holds(refusal(missing), missing.string() + ": cannot be created: No such file or directory"));
  CHECK(holds(refusal(scratch / ""), "does not name a file"));
  CHECK(holds(refusal("/dev/full"), "/dev/full: exists and is not a regular file"));
  std::filesystem::create_directory(scratch / "folder");
  CHECK(holds(refusal(scratch / "folder"), "is not a regular file"));
  CHECK(scratch.entries() == 1);
}

TEST_CASE("after commit a file takes no more") {
  Scratch scratch;
  AtomicFile file(scratch / "file");
  file.commit();
  CHECK(holds(error_of([&] { file.write(bytes("x")); }), "after commit"));
  CHECK(holds(error_of([&] { file.commit(); }), "committed twice"));
}

}  // namespace
}  // namespace dchag::tests
