#pragma once

#include <string>

namespace dchag::tests {

/// The folder tests/ of the checkout, for the files that tests read.
std::string folder();

}  // namespace dchag::tests
