// expect: && Policy<Policies>. .with [^&]* evaluated to .false
#include <dchag/dchag.hpp>

using Model = dchag::MaskedAutoencoder<dchag::Tree<dchag::CrossAttention<1>>, dchag::CrossAttention<1>>;
int main() { return sizeof(Model); }
