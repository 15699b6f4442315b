#include "golden.hpp"

using namespace dchag;
using tests::check_golden;

TEST_CASE("trees that begin with Linear levels agree with the reference, folded and as published") {
  check_golden<double, Tree<Linear<1>>>("mae_linear1_p8_f64");
  check_golden<double, Tree<Linear<1>>>("forecast_linear1_p8_f64");
  check_golden<double, Tree<Linear<4>, Linear<2>, Linear<1>>>("forecast_linear4_linear2_linear1_p2_f64");
}

TEST_CASE("the published tree of Linear, then CrossAttention, agrees with the reference") {
  check_golden<double, Tree<Linear<5>, CrossAttention<1>>>("mae_linear5_attention1_p4_f64");
  check_golden<double, Tree<Linear<5>, CrossAttention<1>>>("forecast_linear5_attention1_p4_f64");
  check_golden<float, Tree<Linear<5>, CrossAttention<1>>>("mae_linear5_attention1_p2_f32");
  check_golden<float, Tree<Linear<5>, CrossAttention<1>>>("forecast_linear5_attention1_p4_f32");
  check_golden<double, Tree<Linear<3>, CrossAttention<1>>>("forecast_one_location_p8_f64");
}

TEST_CASE("more rows than fit one tile agree with the reference") {
  check_golden<double, Tree<Linear<2>, CrossAttention<1>>>("mae_linear2_attention1_many_locations_p1_f64");
}
