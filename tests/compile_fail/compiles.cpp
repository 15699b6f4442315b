#include <dchag/core/error.hpp>

int main() { dchag::require(true, "nothing is wrong"); }
