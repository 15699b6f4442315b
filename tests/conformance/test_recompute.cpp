#include "golden.hpp"

using namespace dchag;

TEST_CASE_TEMPLATE("what is recomputed in the backward pass agrees with the reference", Kept, Recompute<Blocks>,
                   Recompute<Everything>) {
  using Three = Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>;
  using Four = Tree<Linear<6>, CrossAttention<4>, Linear<2>, CrossAttention<1>>;
  tests::check_golden_as<double, Three, Evaluate<Auto>, Kept>(
      tests::Golden("mae_attention3_linear2_attention1_p1_f64"));
  tests::check_golden_as<double, Four, Evaluate<Auto>, Kept>(
      tests::Golden("mae_linear6_attention4_linear2_attention1_p2_f64"));
  tests::check_golden_as<double, Tree<CrossAttention<1>>, Evaluate<Auto>, Kept>(tests::Golden("forecast_flat_p2_f64"));
}
