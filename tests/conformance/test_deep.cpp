#include "golden.hpp"

using namespace dchag;
using tests::check_golden;

TEST_CASE("trees of three levels that begin with CrossAttention agree with the reference in every order") {
  using Three = Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>;
  check_golden<double, Three>("mae_attention3_linear2_attention1_p1_f64");
  check_golden<double, Three>("forecast_attention3_linear2_attention1_p1_f64");
  check_golden<float, Three>("mae_attention3_linear2_attention1_p8_f32");
}

TEST_CASE("trees of four levels agree with the reference") {
  using Mixed = Tree<Linear<6>, CrossAttention<4>, Linear<2>, CrossAttention<1>>;
  check_golden<double, Mixed>("mae_linear6_attention4_linear2_attention1_p2_f64");
  check_golden<float, Mixed>("forecast_linear6_attention4_linear2_attention1_p4_f32");
  check_golden<double, Tree<CrossAttention<5>, Linear<3>, CrossAttention<2>, Linear<1>>>(
      "forecast_attention5_linear3_attention2_linear1_p4_f64");
  check_golden<double, Tree<CrossAttention<6>, CrossAttention<4>, CrossAttention<2>, CrossAttention<1>>>(
      "mae_attention6_attention4_attention2_attention1_p2_f64");
}
