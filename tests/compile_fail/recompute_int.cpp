// expect: for the satisfaction of .RecomputePolicy<
#include <dchag/core/policies.hpp>

using All = dchag::Recompute<int>;
int main() { return sizeof(All); }
