#include "folder.hpp"

std::string dchag::tests::folder() { return DCHAG_TEST_FOLDER; }
