// A user's program of two files that both include everything: what they share is defined once, and it starts and ends.
#include <dchag/dchag.hpp>
#include <iostream>

dchag::MaskedAutoencoderConfig scene();

int main(int argc, char** argv) {
  return dchag::run(argc, argv, [](dchag::Environment& environment) {
    std::cout << environment.report() << "\nkept locations: " << scene().kept() << '\n';
    return scene().kept() == 16 ? 0 : 1;
  });
}
