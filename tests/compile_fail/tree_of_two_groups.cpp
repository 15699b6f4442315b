// expect: for the satisfaction of .EndsInOneGroup<
#include <dchag/channels/tree.hpp>

using Two = dchag::Tree<dchag::Linear<4>, dchag::CrossAttention<2>>;
int main() { return sizeof(Two); }
