#include <doctest/doctest.h>

#include <dchag/core/context.hpp>
#include <dchag/core/workspace.hpp>
#include <string>

#include "space.hpp"

using dchag::tests::Space;
using Workspace = dchag::Workspace<Space>;

namespace {

/// A step as layers do it: keeps some, borrows some, gives everything back.
void step(Workspace& workspace) {
  auto const mark = workspace.mark();
  workspace.push<float**>(7, 33);
  {
    auto scope = workspace.scope();
    workspace.push<double*>(1000);
  }
  workspace.push<float*>(3);
  {
    auto scope = workspace.scope();
    workspace.push<double***>(2, 3, 200);
  }
  workspace.release(mark);
}

}  // namespace

TEST_CASE("a workspace is a stack: what is released is handed out again") {
  Workspace workspace(4096);
  auto const first = workspace.push<float*>(10);
  auto const mark = workspace.mark();
  auto const second = workspace.push<double**>(4, 5);
  workspace.release(mark);
  auto const third = workspace.push<float*>(1);
  CHECK(static_cast<void*>(third.data()) == static_cast<void*>(second.data()));
  CHECK(static_cast<void*>(first.data()) != static_cast<void*>(second.data()));
  CHECK(second.extent(0) == 4);
  CHECK(second.extent(1) == 5);
}

TEST_CASE("everything pushed is aligned for whole cache lines and does not overlap") {
  Workspace workspace(4096);
  float const* end = nullptr;
  for (int size : {1, 31, 32, 33, 100}) {
    auto const view = workspace.push<float*>(size);
    CHECK(reinterpret_cast<std::uintptr_t>(view.data()) % Workspace::alignment == 0);
    CHECK(view.data() >= end);
    end = view.data() + size;
  }
}

TEST_CASE("a scope gives back what was pushed in it, also when an error leaves it") {
  Workspace workspace(1024);
  workspace.push<float*>(32);
  std::size_t const before = workspace.used();
  {
    auto scope = workspace.scope();
    workspace.push<float*>(32);
    CHECK(workspace.used() > before);
  }
  CHECK(workspace.used() == before);
  try {
    auto scope = workspace.scope();
    workspace.push<float*>(32);
    workspace.push<float*>(100000);
  } catch (dchag::Error const&) {
  }
  CHECK(workspace.used() == before);
}

TEST_CASE("a workspace that is too small says how much was asked for and what is in use, and stays usable") {
  Workspace workspace(1024);
  workspace.push<float*>(32);
  std::string message;
  try {
    workspace.push<double*>(1000);
  } catch (dchag::Error const& error) {
    message = error.what();
  }
  CHECK(message.find("8064 bytes asked for with 128 of 1024 in use") != std::string::npos);
  CHECK(workspace.used() == 128);
  CHECK_NOTHROW(workspace.push<float*>(32));
}

TEST_CASE("measuring gives the peak that the same step has in storage of exactly that size") {
  Workspace measuring;
  CHECK(measuring.measuring());
  step(measuring);
  CHECK(measuring.used() == 0);
  Workspace real(measuring.peak());
  CHECK(!real.measuring());
  CHECK_NOTHROW(step(real));
  CHECK(real.peak() == measuring.peak());
  Workspace short_of_it(measuring.peak() - Workspace::alignment);
  CHECK_THROWS_AS(step(short_of_it), dchag::Error);
}

TEST_CASE("storage is not replaced while something is on the stack, and a release cannot go up") {
  Workspace workspace;
  workspace.push<float*>(10);
  CHECK_THROWS_AS(workspace.allocate(100), dchag::Error);
  CHECK_THROWS_AS(workspace.release(1000), dchag::Error);
  workspace.release(0);
  CHECK_NOTHROW(workspace.allocate(100));
}

TEST_CASE("views of no elements cost nothing") {
  Workspace workspace(0);
  CHECK_NOTHROW(workspace.push<float**>(0, 17));
  CHECK(workspace.used() == 0);
}

TEST_CASE("a dry context starts nothing") {
  Workspace workspace;
  dchag::Context<Space> const context(workspace);
  CHECK(context.dry());
  auto const view = workspace.push<float*>(100);
  context.fill(view, 1.0f);
  context.copy(view, view);
  bool started = false;
  context.loop("dchag::test", 1, [&started](dchag::Index) { started = true; });
  CHECK(!started);
  CHECK(context.sum<double>("dchag::test", 1, [](dchag::Index, double& part) { part += 1; }) == 0);
}
