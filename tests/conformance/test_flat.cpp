#include "golden.hpp"

using namespace dchag;
using tests::check_golden;

using Flat = Tree<CrossAttention<1>>;

TEST_CASE("a flat masked autoencoder agrees with the reference in every order of evaluation") {
  check_golden<double, Flat>("mae_flat_p2_f64");
  check_golden<double, Flat>("mae_one_channel_p4_f64");
  check_golden<float, Flat>("mae_flat_p4_f32");
}

TEST_CASE("a flat forecaster agrees with the reference in every order of evaluation") {
  check_golden<double, Flat>("forecast_flat_p2_f64");
  check_golden<double, Flat>("forecast_flat_many_channels_p1_f64");
  check_golden<float, Flat>("forecast_flat_p2_f32");
}
