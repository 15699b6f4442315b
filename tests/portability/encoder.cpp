// The transformer: every layer, forward and backward, with stored and with recomputed blocks, in both precisions, and
// as every strategy spreads it.
#include <cmath>
#include <dchag/models/encoder.hpp>

namespace {

using Space = Kokkos::DefaultExecutionSpace;

template <class T, bool recompute, class Strategy = dchag::Replicated>
void train() {
  dchag::Index const images = 2, rows = 2 * 5, width = 16;
  dchag::Parameters<T, Space> parameters;
  dchag::Encoder<T, Space, recompute, Strategy> encoder(parameters, {.embed = width, .heads = 2, .depth = 2});
  parameters.allocate(1);
  Kokkos::View<T**, Kokkos::LayoutRight, Space> values("values", rows, width), gradients("gradients", rows, width);
  Kokkos::deep_copy(gradients, T{1});
  dchag::linalg::Matrix<T> const x{values.data(), rows, width}, g{gradients.data(), rows, width};
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  auto const step = [&] {
    encoder.forward(context, x, images);
    encoder.backward(context, g);
  };
  step();
  workspace.allocate(workspace.peak());
  step();
  T const sum = context.template sum<T>(
      "sum", rows * width, KOKKOS_LAMBDA(dchag::Index i, T & total) { total += g.data[i]; });
  dchag::require(std::isfinite(sum), "the gradients sum to ", sum);
}

}  // namespace

int main(int argc, char** argv) {
  Kokkos::ScopeGuard const kokkos(argc, argv);
  train<float, false>();
  train<float, true>();
  train<double, false>();
  train<double, true>();
  train<float, true, dchag::Tensor>();
  train<float, true, dchag::TensorSequence>();
  train<float, true, dchag::Sequence>();
}
