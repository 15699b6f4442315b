// expect: for the satisfaction of .PrecisionPolicy<
#include <dchag/core/policies.hpp>

using Whole = dchag::Precision<int>;
int main() { return sizeof(Whole); }
