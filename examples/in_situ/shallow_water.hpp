#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>

// The simulation that a forecaster is put into: rotating shallow water on a doubly periodic square. It knows Kokkos
// alone.
namespace shallow_water {

using Space = Kokkos::DefaultExecutionSpace;
using State = Kokkos::View<double***, Kokkos::LayoutRight, Space::device_type>;  // [h, u, v][y][x]: m, m/s, m/s

struct Parameters {
  int cells = 64;          // along each side
  double spacing = 20e3;   // m
  double time_step = 300;  // s
  double depth = 100;      // m, at rest
  double gravity = 9.81;   // m/s²
  double coriolis = 1e-4;  // 1/s
  double viscosity = 1e3;  // m²/s
  double roughness = 3;    // m, deviation of the surface at the start
  double balance = 0.7;  // share of its slope that the Coriolis force of the first velocities bears; the rest is waves
};

/// What a state says at a cell: h at its centre, u on its east face, v on its north face, vorticity at the corner
/// between them (Arakawa's C grid). The tendencies conserve potential enstrophy but for the viscosity (Sadourny 1975,
/// doi:10.1175/1520-0469(1975)032<0680:TDOFDM>2.0.CO;2).
struct Flow {
  Kokkos::View<double const***, Kokkos::LayoutRight, Space::device_type> state;
  Parameters p;

  KOKKOS_FUNCTION int wrap(int k) const { return k < 0 ? k + p.cells : k < p.cells ? k : k - p.cells; }
  KOKKOS_FUNCTION double at(int variable, int y, int x) const { return state(variable, wrap(y), wrap(x)); }
  KOKKOS_FUNCTION double h(int y, int x) const { return at(0, y, x); }
  KOKKOS_FUNCTION double u(int y, int x) const { return at(1, y, x); }
  KOKKOS_FUNCTION double v(int y, int x) const { return at(2, y, x); }

  KOKKOS_FUNCTION double vorticity(int y, int x) const {
    return (v(y, x + 1) - v(y, x) - u(y + 1, x) + u(y, x)) / p.spacing;
  }
  KOKKOS_FUNCTION double divergence(int y, int x) const {
    return (u(y, x) - u(y, x - 1) + v(y, x) - v(y - 1, x)) / p.spacing;
  }
  KOKKOS_FUNCTION double flux_east(int y, int x) const { return u(y, x) * (h(y, x) + h(y, x + 1)) / 2; }
  KOKKOS_FUNCTION double flux_north(int y, int x) const { return v(y, x) * (h(y, x) + h(y + 1, x)) / 2; }
  KOKKOS_FUNCTION double potential_vorticity(int y, int x) const {
    return 4 * (p.coriolis + vorticity(y, x)) / (h(y, x) + h(y, x + 1) + h(y + 1, x) + h(y + 1, x + 1));
  }
  KOKKOS_FUNCTION double energy(int y, int x) const {
    double const west = u(y, x - 1), east = u(y, x), south = v(y - 1, x), north = v(y, x);
    return p.gravity * h(y, x) + (west * west + east * east + south * south + north * north) / 4;
  }
  KOKKOS_FUNCTION double friction(int variable, int y, int x) const {
    return p.viscosity / (p.spacing * p.spacing) *
           (at(variable, y, x + 1) + at(variable, y, x - 1) + at(variable, y + 1, x) + at(variable, y - 1, x) -
            4 * at(variable, y, x));
  }

  KOKKOS_FUNCTION double h_tendency(int y, int x) const {
    return (flux_east(y, x - 1) - flux_east(y, x) + flux_north(y - 1, x) - flux_north(y, x)) / p.spacing;
  }
  KOKKOS_FUNCTION double u_tendency(int y, int x) const {
    double const flux = flux_north(y, x) + flux_north(y, x + 1) + flux_north(y - 1, x) + flux_north(y - 1, x + 1);
    return (potential_vorticity(y, x) + potential_vorticity(y - 1, x)) / 2 * flux / 4 -
           (energy(y, x + 1) - energy(y, x)) / p.spacing + friction(1, y, x);
  }
  KOKKOS_FUNCTION double v_tendency(int y, int x) const {
    double const flux = flux_east(y, x) + flux_east(y + 1, x) + flux_east(y, x - 1) + flux_east(y + 1, x - 1);
    return -(potential_vorticity(y, x) + potential_vorticity(y, x - 1)) / 2 * flux / 4 -
           (energy(y + 1, x) - energy(y, x)) / p.spacing + friction(2, y, x);
  }
};

using Cells = Kokkos::MDRangePolicy<Space, Kokkos::Rank<2>>;

/// Of the surface at the start: amplitude cos(x column + y row + phase).
struct Wave {
  double x, y, phase, amplitude;
};

/// A random surface of long waves, borne in part by the Coriolis force.
inline void start(Parameters const& p, std::uint64_t seed, State const& state) {
  constexpr int count = 24;
  int const most = std::max(1, p.cells / 16);  // wavelengths in the square: none is shorter than 16 cells
  Kokkos::View<Wave*, Space::device_type> const waves("shallow_water::waves", count);
  auto const host = Kokkos::create_mirror_view(waves);
  std::mt19937_64 random(seed);
  double const turn = 2 * std::acos(-1.0);
  auto const number = [&] {
    return std::uniform_int_distribution<int>(1, most)(random) * (random() % 2 == 0 ? 1 : -1);
  };
  for (int i = 0; i < count; ++i)
    host(i) = {turn * number() / p.cells, turn * number() / p.cells,
               std::uniform_real_distribution<double>(0, turn)(random), p.roughness * std::sqrt(2.0 / count)};
  Kokkos::deep_copy(waves, host);
  double const speed = p.balance * p.gravity / (p.coriolis * p.spacing);
  Kokkos::parallel_for(
      "shallow_water::start", Cells({0, 0}, {p.cells, p.cells}), KOKKOS_LAMBDA(int y, int x) {
        double h = p.depth, u = 0, v = 0;
        for (int i = 0; i < count; ++i) {
          Wave const w = waves(i);
          double const phase = w.x * x + w.y * y + w.phase;
          h += w.amplitude * Kokkos::cos(phase);
          u += w.amplitude * speed * w.y * Kokkos::sin(phase + w.x / 2);
          v -= w.amplitude * speed * w.x * Kokkos::sin(phase + w.y / 2);
        }
        state(0, y, x) = h;
        state(1, y, x) = u;
        state(2, y, x) = v;
      });
}

/// out = (1 - weight) base + weight (in + time_step tendency(in)); out may be base.
inline void euler(Parameters const& p, State const& out, State const& base, double weight, State const& in) {
  Flow const flow{in, p};
  Kokkos::parallel_for(
      "shallow_water::euler", Cells({0, 0}, {p.cells, p.cells}), KOKKOS_LAMBDA(int y, int x) {
        double const tendencies[] = {flow.h_tendency(y, x), flow.u_tendency(y, x), flow.v_tendency(y, x)};
        for (int k = 0; k < 3; ++k)
          out(k, y, x) = (1 - weight) * base(k, y, x) + weight * (in(k, y, x) + p.time_step * tendencies[k]);
      });
}

class Solver {
 public:
  Solver(Parameters const& parameters, std::uint64_t seed) : p_(parameters) { start(p_, seed, state_); }

  /// Third-order Runge-Kutta (Shu and Osher 1988).
  void step() {
    euler(p_, first_, state_, 1, state_);
    euler(p_, second_, state_, 1.0 / 4, first_);
    euler(p_, state_, state_, 2.0 / 3, second_);
  }

  Flow flow() const { return {state_, p_}; }
  Parameters const& parameters() const { return p_; }

 private:
  State make(std::string const& label) const {
    auto const cells = static_cast<std::size_t>(p_.cells);
    return State(label, 3, cells, cells);
  }

  Parameters p_;
  State state_ = make("shallow_water::state"), first_ = make("shallow_water::first stage"),
        second_ = make("shallow_water::second stage");
};

}  // namespace shallow_water
