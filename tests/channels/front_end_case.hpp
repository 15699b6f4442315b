#pragma once

#include <dchag/channels/front_end.hpp>
#include <limits>
#include <string>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

/// Any order of evaluation, named at run time; and the size that it was last asked for.
struct NamedOrder {
  static inline Order order = Order::materialized;
  static inline UnitSize asked{};
  static constexpr bool allows(Order) { return true; }
  static Order choose(UnitSize const& size) {
    asked = size;
    return order;
  }
};

/// A front end with images and a loss, the sum of the tokens times fixed numbers.
template <class TreePolicy, class Evaluation, bool recompute = false, class Lacking = Refuse>
class FrontEndCase {
 public:
  FrontEndCase(channels::PatchGrid const& grid, Index embed, Index heads, Index images, Index kept, std::uint64_t seed)
      : grid_(grid),
        embed_(embed),
        images_(images),
        kept_(kept),
        model_(parameters, grid, embed, heads),
        input_(numbers(images * grid.channels * grid.height * grid.width, seed, "images")) {
    parameters.allocate(seed);
    for (auto const& parameter : parameters.all())  // no bias zero, no weight uniform
      Kokkos::deep_copy(parameter.template value<double*>(parameter.size()),
                        numbers(parameter.size(), seed, parameter.name));
    std::vector<Index> keep;
    for (Index b = 0; b < images; ++b)
      for (Index k = 0; k < kept; ++k) keep.push_back(location(b, k));
    keep_ = Kokkos::View<Index*, Space>("keep", keep.size());
    Kokkos::deep_copy(keep_, Kokkos::View<Index const*, Kokkos::HostSpace>(keep.data(), keep.size()));
    tiling_ = Tiling::of<double, Space>(images * kept);
    weights_ = numbers(tiling_.tiles * embed * tiling_.pitch, seed, "weights");
  }

  /// Says which channels the images have, [images * channels]; the memory of the others becomes NaN.
  void set_present(std::vector<unsigned char> const& present) {
    present_ = Kokkos::View<unsigned char**, Kokkos::LayoutRight, Space>("present", static_cast<std::size_t>(images_),
                                                                         static_cast<std::size_t>(grid_.channels));
    Kokkos::deep_copy(present_,
                      Kokkos::View<unsigned char const**, Kokkos::LayoutRight, Kokkos::HostSpace>(
                          present.data(), static_cast<std::size_t>(images_), static_cast<std::size_t>(grid_.channels)));
    Index const plane = grid_.height * grid_.width;
    for (std::size_t k = 0; k < present.size(); ++k)
      if (present[k] == 0)
        Kokkos::deep_copy(reshape<double*, Space>(input_.data() + static_cast<Index>(k) * plane, plane),
                          std::numeric_limits<double>::quiet_NaN());
  }

  /// The k-th location of an image that is wanted.
  Index location(Index image, Index k) const { return (k * 7 + image) % grid_.locations(); }
  std::vector<double> host_images() const { return host(input_); }
  /// What the loss weighs the tokens with: of row n and feature e at [n * embed + e].
  std::vector<double> host_weights() const {
    std::vector<double> const all = host(weights_);
    std::vector<double> of_rows;
    for (Index n = 0; n < tiling_.rows; ++n)
      for (Index e = 0; e < embed_; ++e)
        of_rows.push_back(
            all[static_cast<std::size_t>((n / tiling_.width * embed_ + e) * tiling_.pitch + n % tiling_.width)]);
    return of_rows;
  }

  /// Bytes on the workspace between forward and backward.
  std::size_t kept_bytes() {
    Workspace<Space> measuring;
    Context<Space> const dry(measuring);
    model_.forward(dry, input_.data(), keep_.data(), kept_, images_, present_);
    return measuring.used();
  }

  /// The loss; its gradients are in the parameters.
  double loss() {
    Workspace<Space> workspace;
    run(Context<Space>(workspace));
    workspace.release(0);
    workspace.allocate(workspace.peak());
    parameters.zero_gradients(Context<Space>(workspace));
    return run(Context<Space>(workspace));
  }

  auto host_gradients() const {
    std::vector<std::vector<double>> all;
    for (auto const& parameter : parameters.all()) {
      auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(),
                                                            parameter.template gradient<double*>(parameter.size()));
      all.emplace_back(host.data(), host.data() + host.size());
    }
    return all;
  }

  auto& model() { return model_; }

  Parameters<double, Space> parameters;

 private:
  static Kokkos::View<double*, Space> numbers(Index count, std::uint64_t seed, std::string const& name) {
    Kokkos::View<double*, Space> const view("numbers", static_cast<std::size_t>(count));
    std::uint64_t const key = random_key(seed, name);
    Kokkos::parallel_for(
        Kokkos::RangePolicy<Space>(0, count),
        KOKKOS_LAMBDA(int i) { view(i) = 0.5 * random_normal(key, static_cast<std::uint64_t>(i)); });
    return view;
  }

  static std::vector<double> host(Kokkos::View<double*, Space> const& view) {
    auto const copy = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
    return {copy.data(), copy.data() + copy.size()};
  }

  double run(Context<Space> const& context) {
    model_.forward(context, input_.data(), keep_.data(), kept_, images_, present_);
    Tiling const tiling = tiling_;
    Index const embed = embed_;
    double const* const weights = weights_.data();
    double* const tokens = model_.out();
    double const total = context.template sum<double>(
        "loss", tiling.rows * embed, KOKKOS_LAMBDA(Index item, double& sum) {
          Index const n = item / embed,
                      at = (n / tiling.width * embed + item % embed) * tiling.pitch + n % tiling.width;
          sum += weights[at] * tokens[at];
        });
    context.loop(
        "gradient", tiling.tiles * embed * tiling.width, KOKKOS_LAMBDA(Index item) {
          Index const tile = item / (embed * tiling.width), e = item / tiling.width % embed, k = item % tiling.width;
          Index const at = (tile * embed + e) * tiling.pitch + k;
          tokens[at] = tile * tiling.width + k < tiling.rows ? weights[at] : 0.0;
        });
    model_.backward(context, tokens);
    return total;
  }

  channels::PatchGrid grid_;
  Index embed_, images_, kept_;
  FrontEnd<double, Space, TreePolicy, Evaluation, recompute, Auto, Lacking> model_;
  Kokkos::View<double*, Space> input_, weights_;
  Kokkos::View<Index*, Space> keep_;
  Kokkos::View<unsigned char**, Kokkos::LayoutRight, Space> present_;
  Tiling tiling_;
};

}  // namespace dchag::tests
