#include <doctest/doctest.h>
#include <mpi.h>

#include <cstdint>
#include <dchag/parallel/communicator.hpp>
#include <vector>

#include "space.hpp"

namespace {

using dchag::Communicator;
using dchag::Index;
using dchag::Reduction;
using dchag::Staging;
using dchag::tests::Space;

template <class T>
using Buffer = Kokkos::View<T*, typename Space::device_type>;

template <class T>
Buffer<T> device(std::vector<T> const& values) {
  Buffer<T> const buffer("buffer", values.size());
  Kokkos::View<T const*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> const host(values.data(),
                                                                                                values.size());
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

template <class T>
std::vector<T> host(Buffer<T> const& buffer) {
  std::vector<T> values(buffer.size());
  Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> const view(values.data(), values.size());
  Kokkos::deep_copy(view, buffer);
  return values;
}

struct Fixture {
  dchag::Workspace<Space> workspace{0};
  dchag::Context<Space> context{workspace};
};

// The numbers 100 * rank + 10 * piece + element, three for each of `size` pieces.
template <class T>
std::vector<T> pieces_of(int rank, int size) {
  std::vector<T> values;
  for (int piece = 0; piece < size; ++piece)
    for (int element = 0; element < 3; ++element) values.push_back(static_cast<T>(100 * rank + 10 * piece + element));
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("every verb gives what its name says, called or started, staged or not", T, float, double,
                   std::int32_t, std::int64_t) {
  Fixture f;
  for (int way = 0; way < 4; ++way) {
    Staging const staging = way < 2 ? Staging::device : Staging::always;
    bool const started = way % 2 == 1;
    CAPTURE(started);
    CAPTURE(static_cast<int>(staging));
    Communicator const world(MPI_COMM_WORLD, staging);
    int const rank = world.rank(), size = world.size();
    auto const own = pieces_of<T>(rank, size);

    SUBCASE("all_reduce adds, or takes the maximum") {
      auto const sum = device(own), largest = device(own);
      if (started) {
        world.start_all_reduce(f.context, sum).wait(f.context);
        world.start_all_reduce(f.context, largest, Reduction::max).wait(f.context);
      } else {
        world.all_reduce(f.context, sum);
        world.all_reduce(f.context, largest, Reduction::max);
      }
      auto const sums = host(sum), maxima = host(largest);
      for (std::size_t i = 0; i < own.size(); ++i) {
        T const base = static_cast<T>(10 * (i / 3) + i % 3);
        CHECK(sums[i] == static_cast<T>(size) * base + static_cast<T>(100 * size * (size - 1) / 2));
        CHECK(maxima[i] == base + static_cast<T>(100 * (size - 1)));
      }
    }
    SUBCASE("all_gather stands the parts one after the other, also in place") {
      auto const part = device(std::vector<T>{T(rank), T(rank + 50)});
      Buffer<T> const whole("whole", static_cast<std::size_t>(2 * size)), again("whole", whole.size());
      auto const place = Kokkos::subview(again, std::pair(2 * rank, 2 * rank + 2));
      Kokkos::deep_copy(place, part);
      if (started) {
        world.start_all_gather(f.context, part, whole).wait(f.context);
        world.start_all_gather(f.context, place, again).wait(f.context);
      } else {
        world.all_gather(f.context, part, whole);
        world.all_gather(f.context, place, again);
      }
      std::vector<T> expected;
      for (int r = 0; r < size; ++r) expected.insert(expected.end(), {T(r), T(r + 50)});
      CHECK(host(whole) == expected);
      CHECK(host(again) == expected);
    }
    SUBCASE("reduce_scatter leaves a rank its piece of the sum, or the maximum") {
      auto const whole = device(own);
      Buffer<T> const part("part", 3), largest("part", 3);
      if (started) {
        world.start_reduce_scatter(f.context, whole, part).wait(f.context);
        world.start_reduce_scatter(f.context, whole, largest, Reduction::max).wait(f.context);
      } else {
        world.reduce_scatter(f.context, whole, part);
        world.reduce_scatter(f.context, whole, largest, Reduction::max);
      }
      auto const sums = host(part), maxima = host(largest);
      for (int i = 0; i < 3; ++i) {
        CHECK(sums[i] == T(size * (10 * rank + i) + 100 * size * (size - 1) / 2));
        CHECK(maxima[i] == T(10 * rank + i + 100 * (size - 1)));
      }
    }
    SUBCASE("all_to_all sends piece p to rank p") {
      auto const outgoing = device(own);
      Buffer<T> const incoming("incoming", own.size());
      if (started)
        world.start_all_to_all(f.context, outgoing, incoming).wait(f.context);
      else
        world.all_to_all(f.context, outgoing, incoming);
      auto const arrived = host(incoming);
      for (int from = 0; from < size; ++from)
        for (int i = 0; i < 3; ++i) CHECK(arrived[3 * from + i] == T(100 * from + 10 * rank + i));
    }
    SUBCASE("broadcast gives everyone the values of the root") {
      auto const values = device(own);
      if (started)
        world.start_broadcast(f.context, values, size - 1).wait(f.context);
      else
        world.broadcast(f.context, values, size - 1);
      CHECK(host(values) == pieces_of<T>(size - 1, size));
    }
  }
}

TEST_CASE("a number of the host is reduced") {
  Communicator const world(MPI_COMM_WORLD);
  int const size = world.size();
  CHECK(world.all_reduce(0.5 + world.rank()) == 0.5 * size + size * (size - 1) / 2);
  CHECK(world.all_reduce(world.rank(), Reduction::max) == size - 1);
}

TEST_CASE("calls and bytes are counted verb by verb, and by all copies together") {
  Fixture f;
  Communicator const world(MPI_COMM_WORLD), copy = world;
  Index const size = world.size();
  Buffer<float> const part("part", 5), whole("whole", static_cast<std::size_t>(5 * size));
  Buffer<double> const doubles("doubles", 7);
  world.all_reduce(f.context, doubles);
  copy.all_reduce(f.context, doubles);
  world.all_gather(f.context, part, whole);
  world.reduce_scatter(f.context, whole, part);
  world.all_to_all(f.context, whole, Buffer<float>("incoming", whole.size()));
  world.broadcast(f.context, part, static_cast<int>(size) - 1);
  world.barrier();
  if (size == 1) {
    CHECK(world.traffic() == dchag::Traffic{});
    return;
  }

  dchag::Traffic expected;
  expected.all_reduce = {2, 2 * 7 * 8};
  expected.all_gather = {1, 5 * 4};
  expected.reduce_scatter = {1, 5 * size * 4};
  expected.all_to_all = {1, 5 * size * 4};
  expected.broadcast = {1, world.rank() == size - 1 ? 5 * 4 : 0};
  expected.barrier = {1, 0};
  CHECK(world.traffic() == expected);
  CHECK(copy.traffic() == expected);
  CHECK(world.traffic().calls() == 7);
  CHECK(world.traffic().bytes() == 112 + 20 + 40 * size + expected.broadcast.bytes);
  copy.reset_traffic();
  CHECK(world.traffic() == dchag::Traffic{});
}

TEST_CASE("a dry context sends nothing") {
  dchag::Workspace<Space> measuring;
  dchag::Context<Space> const dry(measuring);
  Communicator const world(MPI_COMM_WORLD);
  if (world.rank() == 0) world.all_reduce(dry, measuring.push<float*>(1000));  // the others do not take part
  CHECK(world.traffic().calls() == 0);
}

TEST_CASE("split groups by color and orders by key") {
  Communicator const world(MPI_COMM_WORLD);
  int const rank = world.rank(), size = world.size();
  Communicator const parity = world.split(rank % 2, -rank);
  int const members = (size + 1 - rank % 2) / 2;
  CHECK(parity.size() == members);
  CHECK(parity.rank() == members - 1 - rank / 2);
  CHECK(parity.all_reduce(rank, Reduction::max) == (rank % 2 == (size - 1) % 2 ? size - 1 : size - 2));

  Communicator const alone = world.split(rank, 0);
  CHECK(alone.size() == 1);
  CHECK(alone.all_reduce(rank) == rank);
  CHECK(alone.traffic().calls() == 0);
}

TEST_CASE("what cannot be sent is an error on every rank, before MPI is called") {
  Fixture f;
  Communicator const world(MPI_COMM_WORLD);
  Buffer<float> const part("part", 5), whole("whole", 9);
  CHECK_THROWS_WITH_AS(world.all_gather(f.context, part, whole),
                       doctest::Contains("parts of 5 elements and a whole of 9"), dchag::Error);
  CHECK_THROWS_WITH_AS(world.all_to_all(f.context, part, whole), doctest::Contains("all_to_all of 5 elements into 9"),
                       dchag::Error);
  CHECK_THROWS_WITH_AS(world.broadcast(f.context, part, 99), doctest::Contains("broadcast from rank 99"), dchag::Error);
  CHECK_THROWS_WITH_AS(world.split(-1, 0), doctest::Contains("color = -1"), dchag::Error);
  Kokkos::View<float**, Kokkos::LayoutRight, typename Space::device_type> const matrix("matrix", 4, 6);
  auto const columns = Kokkos::subview(matrix, Kokkos::ALL, std::pair(0, 2));
  CHECK_THROWS_WITH_AS(world.all_reduce(f.context, columns), doctest::Contains("view with gaps"), dchag::Error);
  CHECK(world.traffic().calls() == 0);
}

TEST_CASE("what MPI refuses is an error with the name of the call and MPI's message") {
  CHECK_NOTHROW(dchag::detail::check_mpi(MPI_SUCCESS, "MPI_Allreduce"));
  CHECK_THROWS_WITH_AS(dchag::detail::check_mpi(MPI_ERR_COUNT, "MPI_Allreduce"),
                       doctest::Contains("MPI_Allreduce: MPI_ERR_COUNT"), dchag::Error);
}
