// What the models do not reach: the verbs of a communicator on views of the device, losses and metrics of a user's own
// model, and files.
#include <dchag/dchag.hpp>
#include <dchag/io/npy.hpp>
#include <dchag/training/metrics.hpp>
#include <filesystem>
#include <numeric>

namespace portability {

using namespace dchag;
using Space = Kokkos::DefaultExecutionSpace;
using Numbers = Kokkos::View<double*, Space>;

template <class V>
std::vector<double> host(V const& view) {
  auto const copy = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
  return {copy.data(), copy.data() + copy.size()};
}

inline void communicate(Communicator const& world) {
  Workspace<Space> workspace(0);
  Context<Space> const context(workspace);
  std::size_t const piece = 5, ranks = static_cast<std::size_t>(world.size());
  Numbers part("part", piece), whole("whole", piece * ranks), exchanged("exchanged", piece * ranks);
  Kokkos::deep_copy(part, world.rank() + 1.0);
  world.all_reduce(context, part, Reduction::max);
  world.broadcast(context, part);
  world.all_gather(context, part, whole);
  Pending<Space> pending = world.start_all_to_all(context, whole, exchanged);
  pending.wait(context);
  world.reduce_scatter(context, exchanged, part);
  world.barrier();
  context.fence("portability::communicate");
  auto const expected = static_cast<double>(ranks * ranks);
  for (double value : host(part)) require(value == expected, "portability: ", value, " instead of ", expected);
}

template <class T>
void losses() {
  Kokkos::View<T**, Kokkos::LayoutRight, Space> pixels("pixels", 4, 3), target("target", 4, 3),
      gradient("gradient", 4, 3);
  Kokkos::View<T*, Space> hidden("hidden", 4);
  Kokkos::deep_copy(pixels, 2);
  Kokkos::deep_copy(hidden, 1);
  Workspace<Space> workspace;
  auto const run = [&] {
    Context<Space> const context(workspace);
    double const loss = masked_mse(context, View<T**, Space>(pixels), target, hidden, 1.0, gradient);
    return loss + rmse(context, pixels, target);
  };
  run();
  workspace.allocate(workspace.peak());
  double const sum = run();
  require(sum == 6, "portability: the losses add up to ", sum, " instead of 6");
  for (double value : host(gradient))
    require(std::abs(value - 1.0 / 3) < 1e-6, "portability: a gradient of ", value, " instead of 1/3");
}

inline void files(std::filesystem::path const& folder) {
  Numbers numbers("numbers", 6);
  Kokkos::deep_copy(numbers, 0.5);
  std::vector<double> const values = host(numbers);
  auto const npy = folder / "dchag_portability.npy", tensors = folder / "dchag_portability_parts.safetensors";
  write_npy(npy, {2, 3}, values);
  require(NpyFile(npy).read<double>() == values, "portability: an array did not come back from ", npy.string());
  SafetensorsWriter writer(tensors, {}, {{"numbers", Dtype::F64, {6}}});
  writer.write("numbers", values);
  writer.commit();
  require(SafetensorsFile(tensors).read<double>("numbers") == values, "portability: a tensor did not come back from ",
          tensors.string());
  Json const object = parse_json(R"({"sizes": [1, 2], "rate": 0.5})", "portability");
  require(parse_json(dump_json(object), "portability") == object, "portability: JSON did not come back");
  JsonLog log(folder / "dchag_portability.jsonl");
  log(StepReport{.step = 1, .loss = 0.5});
  for (char const* name : {"dchag_portability.npy", "dchag_portability_parts.safetensors", "dchag_portability.jsonl"})
    std::filesystem::remove(folder / name);
}

}  // namespace portability

int main(int argc, char** argv) {
  return dchag::run(argc, argv, [](dchag::Environment& environment) {
    portability::communicate(environment.world());
    portability::losses<float>();
    portability::losses<double>();
    if (environment.world().rank() == 0) portability::files(std::filesystem::temp_directory_path());
  });
}
