#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <cmath>
#include <cstddef>
#include <dchag/dchag.hpp>

#include "shallow_water.hpp"

namespace in_situ {

using shallow_water::Space;

constexpr int fields = 5;  // h less the depth at rest, u, v, vorticity, divergence
constexpr int scales = 3;  // each as it is, and as means of 3 x 3 and of 9 x 9 cells
constexpr int channels = fields * scales;
constexpr int variables = 3;  // of the state, and of the forecast: the first fields

/// The channel that holds a field at a scale.
KOKKOS_INLINE_FUNCTION constexpr int channel_of(int field, int scale) { return field * scales + scale; }

/// The last snapshots of a simulation, in a ring on its device, as the channels that a model reads.
class History {
 public:
  using Ring = Kokkos::View<float****, Kokkos::LayoutRight, Space::device_type>;  // [snapshots, channels, y, x]
  using Scale = Kokkos::View<float*, Space::device_type>;

  History(int snapshots, int cells)
      : ring_("in_situ::history", static_cast<std::size_t>(snapshots), channels, static_cast<std::size_t>(cells),
              static_cast<std::size_t>(cells)),
        scale_("in_situ::scale", channels),
        change_("in_situ::change", channels) {}

  int snapshots() const { return static_cast<int>(ring_.extent(0)); }
  int cells() const { return static_cast<int>(ring_.extent(2)); }
  int recorded() const { return recorded_; }
  Ring const& ring() const { return ring_; }       // snapshot number i is at i % snapshots()
  Scale const& scale() const { return scale_; }    // how large a channel is
  Scale const& change() const { return change_; }  // and how much it changes from one snapshot to the next

  /// One kernel writes the fields, one for each further scale their means.
  void record(shallow_water::Flow const& flow) {
    Ring const ring = ring_;
    int const slot = recorded_++ % snapshots(), edge = cells();
    Kokkos::parallel_for(
        "in_situ::record", shallow_water::Cells({0, 0}, {edge, edge}), KOKKOS_LAMBDA(int y, int x) {
          double const values[fields] = {flow.h(y, x) - flow.p.depth, flow.u(y, x), flow.v(y, x), flow.vorticity(y, x),
                                         flow.divergence(y, x)};
          for (int field = 0; field < fields; ++field)
            ring(slot, channel_of(field, 0), y, x) = static_cast<float>(values[field]);
        });
    for (int scale = 1, stride = 1; scale < scales; ++scale, stride *= 3)
      Kokkos::parallel_for(
          "in_situ::coarsen", Kokkos::MDRangePolicy<Space, Kokkos::Rank<3>>({0, 0, 0}, {fields, edge, edge}),
          KOKKOS_LAMBDA(int field, int y, int x) {
            float sum = 0;
            for (int dy = edge - stride; dy <= edge + stride; dy += stride)
              for (int dx = edge - stride; dx <= edge + stride; dx += stride)
                sum += ring(slot, channel_of(field, scale - 1), (y + dy) % edge, (x + dx) % edge);
            ring(slot, channel_of(field, scale), y, x) = sum / 9;
          });
  }

  /// Sets the scales to root mean squares over the snapshots of all ranks, which all call it when the ring is full.
  void measure(dchag::Communicator const& world) {
    auto const ring = ring_;
    auto const scale = Kokkos::create_mirror_view(scale_), change = Kokkos::create_mirror_view(change_);
    int const edge = cells(), pairs = snapshots() - 1;
    for (int channel = 0; channel < channels; ++channel) {
      std::array<double, 2> squares{};
      Kokkos::parallel_reduce(
          "in_situ::measure", Kokkos::MDRangePolicy<Space, Kokkos::Rank<3>>({0, 0, 0}, {pairs, edge, edge}),
          KOKKOS_LAMBDA(int i, int y, int x, double& of_values, double& of_changes) {
            double const value = ring(i, channel, y, x), next = ring(i + 1, channel, y, x);
            of_values += value * value;
            of_changes += (next - value) * (next - value);
          },
          squares[0], squares[1]);
      squares = world.all_reduce(squares);
      double const count = 1.0 * world.size() * pairs * edge * edge;
      scale(channel) = static_cast<float>(std::sqrt(squares[0] / count));
      change(channel) = static_cast<float>(std::sqrt(squares[1] / count));
    }
    Kokkos::deep_copy(scale_, scale);
    Kokkos::deep_copy(change_, change);
  }

 private:
  Ring ring_;
  Scale scale_, change_;
  int recorded_ = 0;
};

}  // namespace in_situ
