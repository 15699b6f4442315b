#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <string_view>

namespace dchag {

/// Random numbers without state: a key says which sequence, a counter which of its numbers. The same on every rank, in
/// every order. Mixing function: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
KOKKOS_INLINE_FUNCTION std::uint64_t random_bits(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// The key of a name under a seed (FNV-1a over the characters, then mixed).
inline std::uint64_t random_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char character : name) hash = (hash ^ character) * 0x100000001b3u;
  return random_bits(random_bits(seed, 0), hash);
}

/// In [0, 1).
KOKKOS_INLINE_FUNCTION double random_uniform(std::uint64_t key, std::uint64_t counter) {
  return static_cast<double>(random_bits(key, counter) >> 11) * 0x1.0p-53;
}

/// Standard normal (Box and Muller).
KOKKOS_INLINE_FUNCTION double random_normal(std::uint64_t key, std::uint64_t counter) {
  double const radius = Kokkos::sqrt(-2.0 * Kokkos::log(1.0 - random_uniform(key, 2 * counter)));
  return radius * Kokkos::cos(6.283185307179586 * random_uniform(key, 2 * counter + 1));
}

}  // namespace dchag
