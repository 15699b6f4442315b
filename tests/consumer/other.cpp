#include <dchag/core/error.hpp>

void refuse() { dchag::require(false, "patch = ", 3, " does not divide height = ", 145, ": choose 5 or 29"); }
