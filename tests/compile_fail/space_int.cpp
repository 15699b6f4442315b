// expect: is_execution_space
#include <dchag/core/policies.hpp>

using Where = dchag::Space<int>;
int main() { return sizeof(Where); }
