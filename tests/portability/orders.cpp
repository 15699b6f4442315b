// The channel front end in double precision: each order of evaluation, Linear levels folded and as published, and units
// of a user's own; with images that lack channels, too. Its gradients are those of finite differences.
#include <dchag/channels/front_end.hpp>
#include <dchag/parallel/environment.hpp>
#include <dchag/testing/finite_difference.hpp>

#include "squared_sum.hpp"

namespace portability {

using Space = Kokkos::DefaultExecutionSpace;

/// Half the sum of the squares of the tokens, whose gradient they are: padding rows become zero.
inline double half_square(dchag::Context<Space> const& context, dchag::Tiling const& tiling, dchag::Index embed,
                          double* tokens) {
  return context.sum<double>(
      "portability::half_square", tiling.tiles * embed * tiling.width, KOKKOS_LAMBDA(dchag::Index item, double& sum) {
        dchag::Index const n = item % tiling.width, column = item / tiling.width;
        double& token = tokens[column * tiling.pitch + n];
        if (column / embed * tiling.width + n >= tiling.rows) token = 0;
        sum += 0.5 * token * token;
      });
}

/// The first image has the channels from the third on, the second has every other one.
inline Kokkos::View<unsigned char**, Kokkos::LayoutRight, Space> some_channels(std::size_t channels) {
  Kokkos::View<unsigned char**, Kokkos::LayoutRight, Space> const present("present", 2, channels);
  auto const host = Kokkos::create_mirror_view(present);
  for (std::size_t c = 0; c < channels; ++c) {
    host(0, c) = c >= 2;
    host(1, c) = c % 2 == 0;
  }
  Kokkos::deep_copy(present, host);
  return present;
}

template <class TreePolicy, class Evaluation, bool recompute = false>
void check(bool lacking = false) {
  dchag::Index const channels = 7, embed = 6, images = 2;
  dchag::Parameters<double, Space> parameters;
  dchag::channels::PatchGrid const grid{channels, 4, 6, 2};
  dchag::FrontEnd<double, Space, TreePolicy, Evaluation, recompute, dchag::Auto, dchag::Renormalize> front_end(
      parameters, grid, embed, 3);
  parameters.allocate(1);
  Kokkos::View<double*, Space> pixels("pixels", static_cast<std::size_t>(images * channels * grid.height * grid.width));
  auto const host = Kokkos::create_mirror_view(pixels);
  for (std::size_t i = 0; i < host.size(); ++i) host(i) = dchag::random_normal(2, i);
  Kokkos::deep_copy(pixels, host);

  Kokkos::View<unsigned char**, Kokkos::LayoutRight, Space> present;
  if (lacking) present = some_channels(static_cast<std::size_t>(channels));
  dchag::Workspace<Space> workspace;
  auto const run = [&] {
    dchag::Context<Space> const context(workspace);
    auto scope = workspace.scope();
    parameters.zero_gradients(context);
    front_end.forward(context, pixels.data(), nullptr, grid.locations(), images, present);
    double const loss = half_square(context, front_end.tiling(), embed, front_end.out());
    front_end.backward(context, front_end.out());
    return loss;
  };
  run();
  workspace.allocate(workspace.peak());
  run();
  auto const report = dchag::testing::check_gradients(parameters, run);
  dchag::require(report.error < 1e-6, "portability: ", report);
}

}  // namespace portability

int main(int argc, char** argv) {
  using namespace dchag;
  using portability::check, portability::Squared;
  return run(argc, argv, [](Environment&) {
    for (bool lacking : {false, true}) {
      check<Tree<CrossAttention<1>>, Materialized>(lacking);
      check<Tree<CrossAttention<1>>, TokenSpace>(lacking);
      check<Tree<CrossAttention<1>>, PatchSpace, true>(lacking);
      check<Tree<Linear<4>, Linear<2>, CrossAttention<1>>, Auto>(lacking);
    }
    check<Tree<Linear<3>, Squared<2>, Linear<1>>, Materialized>();
    check<Tree<Linear<4>, Linear<2>, Squared<1>>, Auto>();
    check<Tree<Squared<3>, CrossAttention<1>>, Auto>();
  });
}
