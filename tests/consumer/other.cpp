#include <dchag/dchag.hpp>

dchag::MaskedAutoencoderConfig scene() { return {.channels = 200, .height = 16, .width = 16, .patch = 2}; }
