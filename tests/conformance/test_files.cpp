#include <filesystem>
#include <fstream>
#include <iterator>

#include "golden.hpp"

TEST_CASE("every golden file is held against by a test") {
  // The names that the tests of this folder give.
  std::string text;
  for (auto const& entry : std::filesystem::directory_iterator(dchag::tests::folder() + "/conformance"))
    if (entry.path().extension() == ".cpp") {
      std::ifstream file(entry.path());
      text.append(std::istreambuf_iterator<char>(file), {});
    }
  int files = 0;
  for (auto const& entry : std::filesystem::directory_iterator(dchag::tests::folder() + "/conformance/goldens"))
    if (entry.path().extension() == ".safetensors") {
      ++files;
      CHECK_MESSAGE(text.find('"' + entry.path().stem().string() + '"') != std::string::npos,
                    entry.path().stem().string());
    }
  CHECK(files >= 20);
}
