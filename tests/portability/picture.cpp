// Pictures and plots, where libpng is there.
#include <dchag/io/picture.hpp>
#include <dchag/io/plot.hpp>
#include <dchag/parallel/environment.hpp>
#include <filesystem>

int main(int argc, char** argv) {
  using namespace dchag;
  return run(argc, argv, [](Environment&) {
    Plot plot("portability", "step", "loss");
    plot.add({.name = "loss", .x = {0, 1, 2}, .y = {3, 2, 1}});
    auto const path = std::filesystem::temp_directory_path() / "dchag_portability.png";
    write_png(path, plot.draw(320, 240));
    require(std::filesystem::file_size(path) > 0, "portability: ", path.string(), " is empty");
    std::filesystem::remove(path);
  });
}
