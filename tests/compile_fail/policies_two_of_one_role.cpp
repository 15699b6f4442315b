// expect: for the satisfaction of .OnePolicyPerRole<
#include <dchag/dchag.hpp>

using Model = dchag::Forecaster<dchag::Precision<float>, dchag::Recompute<dchag::Blocks>, dchag::Precision<double>>;
int main() { return sizeof(Model); }
