#include <doctest/doctest.h>

#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/zeros.hpp>
#include <vector>

#include "space.hpp"

using dchag::Index;
using dchag::tests::Space;

namespace {

using Numbers = Kokkos::View<Index*, typename Space::device_type>;

std::vector<Index> on_host_of(Numbers const& numbers) {
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), numbers);
  return {host.data(), host.data() + host.size()};
}

/// Each number is raised by its index plus one.
void raise(Numbers const& numbers) {
  dchag::for_each(
      Space(), "test::raise", static_cast<Index>(numbers.size()), KOKKOS_LAMBDA(Index i) { numbers(i) += i + 1; });
}

Index sum_of(Numbers const& numbers) {
  return dchag::sum_each<Index>(
      Space(), "test::sum", static_cast<Index>(numbers.size()),
      KOKKOS_LAMBDA(Index i, Index & sum) { sum += numbers(i); });
}

}  // namespace

TEST_CASE("a loop goes through each index once") {
  for (Index const count : {0, 1, 2, 3, 7, 64, 1001}) {
    CAPTURE(count);
    Numbers const numbers = dchag::zeros<Index, Space>("numbers", count);
    raise(numbers);
    std::vector<Index> expected;
    for (Index i = 0; i < count; ++i) expected.push_back(i + 1);
    CHECK(on_host_of(numbers) == expected);
    CHECK(sum_of(numbers) == count * (count + 1) / 2);
  }
}

TEST_CASE("fill and copy reach every element, and copy refuses another number of them") {
  constexpr Index count = 1001;
  Numbers const numbers = dchag::zeros<Index, Space>("numbers", count),
                copies = dchag::zeros<Index, Space>("copies", count);
  dchag::fill(Space(), numbers, Index{-3});
  CHECK(on_host_of(numbers) == std::vector<Index>(count, -3));
  raise(numbers);
  dchag::copy(Space(), copies, numbers);
  CHECK(on_host_of(copies) == on_host_of(numbers));

  std::vector<Index> host(count);
  dchag::copy(Space(), dchag::reshape<Index*, Kokkos::HostSpace>(host.data(), count), copies);
  Space().fence();
  CHECK(host == on_host_of(copies));

  Numbers const less = dchag::zeros<Index, Space>("less", count - 1);
  CHECK_THROWS_WITH_AS(dchag::copy(Space(), less, numbers), "copy: 1001 elements to 1000", dchag::Error);
}

TEST_CASE("pieces are taken once each, by however many threads") {
  for (Index const count : {0, 1, 5, 100}) {
    CAPTURE(count);
    dchag::Claims claims(count);
    std::vector<Index> taken(static_cast<std::size_t>(count));
    Index* const times = taken.data();
    dchag::for_each(Kokkos::DefaultHostExecutionSpace(), "test::claims", 4, [&claims, times](Index) {
      for (Index piece = 0; claims.take(piece);) Kokkos::atomic_inc(times + piece);
    });
    CHECK(taken == std::vector<Index>(static_cast<std::size_t>(count), 1));
  }
}
