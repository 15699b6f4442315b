#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/clip.hpp>

#include "space.hpp"

using dchag::tests::Space;

TEST_CASE_TEMPLATE("the norm is that of all units together, without the padding", T, float, double) {
  dchag::Parameters<T, Space> parameters;
  double squares = 0;
  for (int unit = 0; unit < 3; ++unit) {
    parameters.begin_unit("unit" + std::to_string(unit));
    parameters.add("a" + std::to_string(unit), {unit + 1, 1001}, dchag::normal(1));
    parameters.add("b" + std::to_string(unit), {7}, dchag::normal(1));
  }
  parameters.allocate(3);
  for (auto const& parameter : parameters.all()) {
    Kokkos::View<T*, Kokkos::HostSpace> const host("host", parameter.size());
    for (dchag::Index i = 0; i < parameter.size(); ++i) {
      host(i) = static_cast<T>(std::sin(1.0 + double(i)));
      squares += double(host(i)) * double(host(i));
    }
    Kokkos::deep_copy(parameter.template gradient<T*>(parameter.size()), host);
  }
  dchag::Workspace<Space> workspace(1 << 16);
  dchag::Context<Space> const context(workspace);
  double const norm = dchag::gradient_norm(context, parameters);
  CHECK(norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-13));
  CHECK(dchag::gradient_norm(context, parameters) == norm);
  CHECK(workspace.used() == 0);
}

TEST_CASE("the scale brings a larger norm to the limit and leaves a smaller one") {
  CHECK(dchag::clip_scale(0.5, 1.0) == 1);
  CHECK(dchag::clip_scale(0, 1.0) == 1);
  CHECK(dchag::clip_scale(4.0, 1.0) == doctest::Approx(0.25).epsilon(1e-6));
  CHECK(dchag::clip_scale(4.0, 1.0) == 1.0 / (4.0 + 1e-6));  // as PyTorch has it
}
