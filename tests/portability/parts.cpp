// What the models do not reach: the verbs of a communicator on views of the device, losses and metrics of a user's own
// model, products of bfloat16 against exact ones, and files.
#include <dchag/dchag.hpp>
#include <dchag/io/npy.hpp>
#include <dchag/linalg/gemm.hpp>
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

/// Small whole numbers, whose products no rounding changes; 2^-10 more than that, which bfloat16 does not tell apart.
class WholeNumbers {
 public:
  static constexpr Index images = 2, heads = 3, locations = 10, size = 8, width = heads * size;

  WholeNumbers()
      : numbers_("numbers", static_cast<std::size_t>(2 * images * locations * width)), results_("results", 600) {
    auto const host = Kokkos::create_mirror_view(numbers_);
    for (std::size_t i = 0; i < host.size(); ++i) host(i) = static_cast<float>(i * i % 11) - 5;
    Kokkos::deep_copy(numbers_, host);
  }
  void add_little() {
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), numbers_);
    for (std::size_t i = 0; i < host.size(); ++i) host(i) *= 1 + 1.0f / 1024;
    Kokkos::deep_copy(numbers_, host);
  }

  /// Every head of every image, an operand that the images share, and a sum, one after the other.
  std::vector<float> multiply(Products products) const {
    using linalg::Op;
    Workspace<Space> workspace(std::size_t{1} << 20);
    auto const context = Context<Space>(workspace).with(products);
    Kokkos::deep_copy(results_, 1);
    Index const image = locations * width, square = locations * locations;
    auto const of_heads = [&](float* data, Index distance) {
      return linalg::Batch<float>({data, locations, size, width}, images, distance, heads, size);
    };
    float *const queries = numbers_.data(), *const keys = queries + images * image, *const out = results_.data();
    linalg::batched_gemm(context, Op::none, Op::transpose, 0.5f, of_heads(queries, image), of_heads(keys, 0), 2.0f,
                         {{out, locations, locations}, images, heads * square, heads, square});
    std::vector<float> all = copied();
    linalg::batched_gemm(context, Op::transpose, Op::none, 1.0f,
                         {{queries, locations, locations}, images, image, heads, square}, of_heads(keys, image), 0.0f,
                         of_heads(out, image));
    std::vector<float> const second = copied();
    linalg::summed_gemm(context, Op::none, Op::transpose, 1.0f, of_heads(queries, image), of_heads(keys, image), 1.0f,
                        {out, locations, locations});
    linalg::gemm(context, Op::transpose, Op::none, 1.0f, {queries, locations, 7, width}, {keys, locations, 5, width},
                 0.0f, {out + square, 7, 5});
    std::vector<float> const third = copied();
    all.insert(all.end(), second.begin(), second.end());
    all.insert(all.end(), third.begin(), third.end());
    return all;
  }

 private:
  std::vector<float> copied() const {
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), results_);
    return {host.data(), host.data() + host.size()};
  }

  Kokkos::View<float*, Space> numbers_, results_;
};

inline void products() {
  WholeNumbers numbers;
  auto const exact = numbers.multiply(Products::unrounded);
  require(numbers.multiply(Products::bfloat16) == exact, "portability: products of bfloat16 of whole numbers differ");
  numbers.add_little();
  require(numbers.multiply(Products::bfloat16) == exact, "portability: operands are not rounded to bfloat16");
  require(numbers.multiply(Products::unrounded) != exact, "portability: operands are rounded to bfloat16");
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
    portability::products();
    if (environment.world().rank() == 0) portability::files(std::filesystem::temp_directory_path());
  });
}
