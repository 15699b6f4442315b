#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/parallel/agreement.hpp>
#include <string>
#include <vector>

using dchag::check_same;
using dchag::Communicator;

namespace {

using Fields = std::vector<dchag::ConfigurationField>;

std::string refusal(Communicator const& group, Fields const& fields, std::string const& what = "forecaster") {
  try {
    check_same(group, what, fields);
  } catch (dchag::Error const& error) {
    return error.what();
  }
  return "";
}

// "on ranks 0-2", or "on rank 0" where last is 0.
std::string on_first(int last) { return last == 0 ? "on rank 0" : "on ranks 0-" + std::to_string(last); }

}  // namespace

TEST_CASE("the same fields on all ranks cost one all_reduce of 16 bytes, in any order of the fields") {
  Communicator const world(MPI_COMM_WORLD);
  Fields const fields{{"channels", 80}, {"tree", "linear 32, attention 1"}, {"rate", 5e-4}, {"compiled", true}};
  CHECK(refusal(world, fields) == "");
  CHECK(refusal(world, world.rank() == 0 ? fields : Fields(fields.rbegin(), fields.rend())) == "");
  CHECK(refusal(world, {}) == "");
  dchag::Traffic expected;
  if (world.size() > 1) expected.all_reduce = {3, 3 * 16};
  CHECK(world.traffic() == expected);
}

TEST_CASE("a value that differs on one rank is named on every rank, with the values and the ranks") {
  Communicator const world(MPI_COMM_WORLD);
  int const last = world.size() - 1;
  if (last == 0) return;
  bool const odd = world.rank() == last;
  std::string const rest = on_first(last - 1), one = " on rank " + std::to_string(last);
  CHECK(refusal(world, {{"channels", 80}, {"embed", odd ? 256 : 512}, {"heads", odd ? 4 : 8}}) ==
        "forecaster: embed differs between the ranks: 512 " + rest + ", 256" + one + ": start all ranks with the same");
  CHECK(refusal(world, {{"rate", odd ? 0.1 : 0.1f * 1.0}}) ==
        "forecaster: rate differs between the ranks: " + std::string("0.10000000149011612 ") + rest + ", 0.1" + one +
            ": start all ranks with the same");
  CHECK(refusal(world, {{"qk_norm", odd}}) == "forecaster: qk_norm differs between the ranks: false " + rest +
                                                  ", true" + one + ": start all ranks with the same");
  CHECK(refusal(world, {}, odd ? "autoencoder" : "forecaster") ==
        std::string(odd ? "autoencoder" : "forecaster") + ": what is checked differs between the ranks: forecaster " +
            rest + ", autoencoder" + one + ": start all ranks with the same");
  CHECK(refusal(world, {{"channels", 80}}) == "");  // the group still works
}

TEST_CASE("a field that ranks lack, or that only some have, is named") {
  Communicator const world(MPI_COMM_WORLD);
  int const last = world.size() - 1;
  if (last == 0) return;
  std::string const rest = on_first(last - 1), one = " on rank " + std::to_string(last);
  Fields fields{{"channels", 80}, {"heads", 8}};
  if (world.rank() == last) fields.pop_back();
  CHECK(refusal(world, fields) == "forecaster: heads differs between the ranks: 8 " + rest + ", missing" + one +
                                      ": start all ranks with the same");
  if (world.rank() == last) fields.assign({{"channels", 80}, {"heads", 8}, {"patch", 2}});
  CHECK(refusal(world, fields) == "forecaster: patch differs between the ranks: missing " + rest + ", 2" + one +
                                      ": start all ranks with the same");
  CHECK(refusal(world, world.rank() == last ? Fields{} : fields).find("channels differs") != std::string::npos);
}

TEST_CASE("a value that is longer on one rank differs, and long values are shown where they do") {
  Communicator const world(MPI_COMM_WORLD);
  int const last = world.size() - 1;
  if (last == 0) return;
  bool const odd = world.rank() == last;
  std::string const rest = on_first(last - 1), one = " on rank " + std::to_string(last);
  CHECK(refusal(world, {{"tree", odd ? "8 1" : "8 1 1"}}) == "forecaster: tree differs between the ranks: 8 1 1 " +
                                                                 rest + ", 8 1" + one +
                                                                 ": start all ranks with the same");
  CHECK(refusal(world, {{"a", odd ? "" : "1:b"}, {"b", odd ? "1:b" : ""}}).find("a differs") != std::string::npos);
  std::string const names(500, 'x'), other = names.substr(0, 300) + "air pressure" + names.substr(0, 188);
  std::string const xs(20, 'x');
  CHECK(refusal(world, {{"names", odd ? other : names}}) ==
        "forecaster: names differs between the ranks: ..." + xs + xs + xs + "... " + rest + ", ..." + xs +
            "air pressure" + xs + "xxxxxxxx..." + one + ": start all ranks with the same");
}

TEST_CASE("ranks that have one value are listed together, and no more than a few values are") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 4) {
    CHECK(refusal(world, {{"threads", world.rank() == 1 ? 3 : 2}}).find("2 on ranks 0, 2-3, 3 on rank 1: ") !=
          std::string::npos);
  }
  if (world.size() == 8) {
    CHECK(refusal(world, {{"seed", world.rank()}}) ==
          "forecaster: seed differs between the ranks: 0 on rank 0, 1 on rank 1, 2 on rank 2, 3 on rank 3, and 4 other "
          "values: start all ranks with the same");
  }
}

TEST_CASE("one rank agrees with itself") { CHECK(refusal(Communicator(), {{"channels", 80}}) == ""); }
