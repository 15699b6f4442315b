#pragma once

#include <Kokkos_Core.hpp>

// The build compiles every test once for each execution space and says which.
#ifndef DCHAG_TEST_SPACE
#define DCHAG_TEST_SPACE Kokkos::DefaultExecutionSpace
#endif

namespace dchag::tests {
using Space = DCHAG_TEST_SPACE;
}
