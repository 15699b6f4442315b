// expect: for the satisfaction of .EvaluationOrder<
#include <dchag/channels/automatic.hpp>

using How = dchag::Evaluate<int>;
int main() { return sizeof(How); }
