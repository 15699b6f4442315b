#include <doctest/doctest.h>
#include <mpi.h>

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <dchag/parallel/communicator.hpp>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "space.hpp"

namespace {

using dchag::Communicator;
using dchag::Index;
using dchag::Reduction;
using dchag::Staging;
using dchag::tests::Space;
using Buffer = Kokkos::View<double*, typename Space::device_type>;
using Pending = dchag::Pending<Space>;

static_assert(!std::is_copy_constructible_v<Pending> && std::is_nothrow_move_constructible_v<Pending>);

struct Fixture {
  dchag::Workspace<Space> workspace{0};
  dchag::Context<Space> context{workspace};
};

// Numbers that differ from rank to rank and whose sum depends on the order of summation.
Buffer numbers(int rank, Index count, double scale) {
  Buffer const buffer("numbers", static_cast<std::size_t>(count));
  auto const host = Kokkos::create_mirror_view(buffer);
  for (Index i = 0; i < count; ++i) host(i) = scale / static_cast<double>(3 + 7 * rank + i % 113);
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

std::vector<double> host(Buffer const& buffer) {
  auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), buffer);
  return {mirror.data(), mirror.data() + mirror.size()};
}

double largest_difference(Buffer const& a, Buffer const& b) {
  auto const x = host(a), y = host(b);
  REQUIRE(x.size() == y.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

// What the five verbs work on, for messages of `count` numbers for each rank.
struct Operands {
  Buffer sum, part, gathered, whole, scattered, outgoing, incoming, sent;

  Operands(Communicator const& group, Index count)
      : sum(numbers(group.rank(), count, 1)),
        part(numbers(group.rank(), count, 2)),
        gathered("gathered", static_cast<std::size_t>(count * group.size())),
        whole(numbers(group.rank(), count * group.size(), 3)),
        scattered("scattered", static_cast<std::size_t>(count)),
        outgoing(numbers(group.rank(), count * group.size(), 4)),
        incoming("incoming", static_cast<std::size_t>(count * group.size())),
        sent(numbers(group.rank(), count, 5)) {}

  std::vector<Buffer> results() const { return {sum, gathered, scattered, incoming, sent}; }
};

template <class Context>
void call_all(Communicator const& group, Context const& context, Operands const& of) {
  group.all_reduce(context, of.sum, Reduction::max);
  group.all_gather(context, of.part, of.gathered);
  group.reduce_scatter(context, of.whole, of.scattered);
  group.all_to_all(context, of.outgoing, of.incoming);
  group.broadcast(context, of.sent, group.size() / 2);
}

template <class Context>
std::vector<Pending> start_all(Communicator const& group, Context const& context, Operands const& of) {
  std::vector<Pending> pending;
  pending.push_back(group.start_all_reduce(context, of.sum, Reduction::max));
  pending.push_back(group.start_all_gather(context, of.part, of.gathered));
  pending.push_back(group.start_reduce_scatter(context, of.whole, of.scattered));
  pending.push_back(group.start_all_to_all(context, of.outgoing, of.incoming));
  pending.push_back(group.start_broadcast(context, of.sent, group.size() / 2));
  return pending;
}

int allocations = 0, fences = 0;

}  // namespace

TEST_CASE("all verbs under way at once, waited for in any order, give what the blocking ones do") {
  Fixture f;
  for (Staging const staging : {Staging::device, Staging::always}) {
    Communicator const world(MPI_COMM_WORLD, staging);
    for (Index const count : {0, 1, 1000, 30011}) {
      CAPTURE(count);
      Operands const called(world, count), started(world, count), other(world, count / 2);
      call_all(world, f.context, called);
      auto pending = start_all(world, f.context, started);
      auto more = start_all(world, f.context, other);
      CHECK(world.all_reduce(1) == world.size());  // another verb meanwhile
      if (world.rank() % 2 == 0) std::swap(pending, more);
      while (!pending.empty()) {
        pending.back().wait(f.context);
        CHECK(pending.back().waited());
        pending.pop_back();
      }
      for (auto& one : more) one.wait(f.context);
      for (std::size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        auto const expected = called.results()[i], result = started.results()[i];
        double const rounding = i == 2 ? 1e-14 * world.size() : 0;  // MPI may add in another order
        CHECK(largest_difference(expected, result) <= rounding);
      }
    }
  }
}

TEST_CASE("a verb that one rank starts does not wait for the others") {
  Fixture f;
  for (Staging const staging : {Staging::device, Staging::always}) {
    Communicator const world(MPI_COMM_WORLD, staging);
    for (Index const count : {3, 50000}) {
      Operands const called(world, count), started(world, count);
      call_all(world, f.context, called);
      std::vector<Pending> pending;
      if (world.rank() == 0) pending = start_all(world, f.context, started);
      MPI_Barrier(MPI_COMM_WORLD);  // hangs where starting is waiting
      if (world.rank() != 0) pending = start_all(world, f.context, started);
      for (auto& one : pending) one.wait(f.context);
      CHECK(host(called.gathered) == host(started.gathered));
    }
  }
}

TEST_CASE("the kernels that write a message are waited for before MPI reads it") {
  Fixture f;
  Communicator const world(MPI_COMM_WORLD);
  Buffer const values("values", 10);
  Kokkos::Tools::Experimental::set_begin_fence_callback([](char const* name, std::uint32_t, std::uint64_t*) {
    fences += std::string_view(name).find("dchag::communicator") != std::string_view::npos;
  });
  fences = 0;
  world.all_reduce(f.context, values);
  CHECK(fences == (world.size() > 1));
  world.start_all_reduce(f.context, values).wait(f.context);
  CHECK(fences == 2 * (world.size() > 1));
  Kokkos::Tools::Experimental::set_begin_fence_callback(nullptr);
}

TEST_CASE("an exchange starts from what the kernels before it wrote, and is not touched by those after it") {
  Fixture f;
  for (Staging const staging : {Staging::device, Staging::always}) {
    Communicator const world(MPI_COMM_WORLD, staging);
    Buffer const first("first", 5000), second("second", 5000);
    Kokkos::deep_copy(f.context.space(), first, world.rank() + 1.0);
    auto a = world.start_all_reduce(f.context, first);
    Kokkos::deep_copy(f.context.space(), second, 1.0);
    auto b = world.start_all_reduce(f.context, second);
    b.wait(f.context);
    CHECK(host(second) == std::vector<double>(5000, world.size()));
    a.wait(f.context);
    CHECK(host(first) == std::vector<double>(5000, world.size() * (world.size() + 1) / 2));
  }
}

TEST_CASE("what nobody has waited for is waited for at the end of its block, and where it is overwritten") {
  Fixture f;
  for (Staging const staging : {Staging::device, Staging::always}) {
    Communicator const world(MPI_COMM_WORLD, staging);
    double const size = world.size();
    Buffer const values("values", 100), others("others", 100);
    Kokkos::deep_copy(values, 1.0);
    Kokkos::deep_copy(others, 2.0);
    {
      auto const pending = world.start_all_reduce(f.context, values);
      CHECK(pending.waited() == (world.size() == 1));
    }
    CHECK(host(values) == std::vector<double>(100, size));
    auto pending = world.start_all_reduce(f.context, values);
    pending = world.start_all_reduce(f.context, others);
    CHECK(host(values) == std::vector<double>(100, size * size));
    Pending other = world.start_all_reduce(f.context, values);
    other = std::move(pending);  // what it was is waited for here
    CHECK(host(values) == std::vector<double>(100, size * size * size));
    auto moved = std::move(other);
    CHECK(pending.waited());
    CHECK(other.waited());
    other.wait(f.context);
    moved.wait(f.context);
    moved.wait(f.context);
    CHECK(host(others) == std::vector<double>(100, 2 * size));
  }
}

TEST_CASE("an exception does not wait for ranks that may never come") {
  Fixture f;
  Communicator const world(MPI_COMM_WORLD);
  Buffer const values("values", 20000);
  Kokkos::deep_copy(values, 1.0);
  std::vector<double> const sums(20000, world.size());
  try {
    if (world.rank() == 0) {
      auto const pending = world.start_all_reduce(f.context, values);
      throw std::runtime_error("on one rank");
    }
  } catch (std::runtime_error const&) {  // the others start only after this
  }
  world.barrier();
  int flag = 0;
  if (world.rank() != 0) world.start_all_reduce(f.context, values).wait(f.context);
  while (host(values) != sums) MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  world.barrier();
  world.all_reduce(f.context, values);  // the communicator still works
  CHECK(host(values) == std::vector<double>(20000, world.size() * world.size()));
}

TEST_CASE("started verbs count as the blocking ones") {
  Fixture f;
  Communicator const called(MPI_COMM_WORLD), started(MPI_COMM_WORLD);
  Operands const of(called, 11);
  call_all(called, f.context, of);
  for (auto& pending : start_all(started, f.context, of)) pending.wait(f.context);
  CHECK(called.traffic() == started.traffic());
  CHECK(called.traffic().calls() == (called.size() == 1 ? 0 : 5));
}

TEST_CASE("one rank or a dry context starts nothing that is to be waited for") {
  Fixture f;
  dchag::Workspace<Space> measuring;
  dchag::Context<Space> const dry(measuring);
  Communicator const world(MPI_COMM_WORLD), one;
  auto const values = measuring.push<double*>(1000);
  if (world.rank() == 0) {  // the others do not take part
    auto pending = world.start_all_reduce(dry, values);
    CHECK(pending.waited());
    pending.wait(dry);
  }
  CHECK(world.traffic().calls() == 0);
  Operands const of(one, 7);
  auto pending = start_all(one, f.context, of);
  for (auto& each : pending) CHECK(each.waited());
  CHECK(host(of.gathered) == host(of.part));
  CHECK(host(of.scattered) == host(of.whole));
  CHECK(host(of.incoming) == host(of.outgoing));
  CHECK(one.traffic().calls() == 0);
}

TEST_CASE("after the first round nothing is allocated, whatever is under way at once") {
  Fixture f;
  Communicator const world(MPI_COMM_WORLD, Staging::always);
  if (world.size() == 1) return;
  Operands const small(world, 500), large(world, 9000);
  auto const round = [&] {
    auto first = start_all(world, f.context, small);
    first.erase(first.begin(), first.begin() + 2);
    call_all(world, f.context, large);
    auto second = start_all(world, f.context, large);
    for (auto& pending : first) pending.wait(f.context);
  };
  round();
  Kokkos::Tools::Experimental::set_allocate_data_callback(
      [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocations; });
  allocations = 0;
  for (int i = 0; i < 3; ++i) round();
  CHECK(allocations == 0);
  Operands const larger(world, 9001);
  allocations = 0;
  call_all(world, f.context, larger);  // the callback is alive: larger messages need more
  CHECK(allocations > 0);
  Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
}

TEST_CASE("messages that MPI's counts cannot hold go in pieces") {
  std::vector<std::pair<Index, int>> pieces;
  auto const record = [&](Index first, int size) { pieces.emplace_back(first, size); };
  dchag::detail::for_pieces(7, record, 3);
  CHECK(pieces == std::vector<std::pair<Index, int>>{{0, 3}, {3, 3}, {6, 1}});
  pieces.clear();
  dchag::detail::for_pieces((Index{1} << 31) + 5, record);
  CHECK(pieces == std::vector<std::pair<Index, int>>{{0, 1 << 30}, {Index{1} << 30, 1 << 30}, {Index{1} << 31, 5}});
  pieces.clear();
  dchag::detail::for_pieces(0, record);
  CHECK(pieces.empty());
}
