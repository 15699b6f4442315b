#pragma once

#include <dchag/core/context.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/shares.hpp>

// Between the rows of visible locations, which a masked autoencoder's encoder sees, and those of all locations, which
// its decoder sees.
namespace dchag::detail {

/// Which location of which image is where: slot [B, L] is the encoder's row of a visible location, -1 for a hidden one;
/// hidden [B, L - kept] lists the hidden ones in order. Answers how many entries of keep are no location or one named
/// before; waits for the device.
template <class Space>
Index sort_locations(Context<Space> const& context, Index images, Index locations, Index kept, Index const* keep,
                     Index* slot, Index* hidden) {
  return context.template sum<Index>(
      "dchag::masked_autoencoder::sort_locations", images, KOKKOS_LAMBDA(Index b, Index & wrong) {
        Index* const slots = slot + b * locations;
        for (Index l = 0; l < locations; ++l) slots[l] = -1;
        for (Index row = b * kept; row < (b + 1) * kept; ++row)
          if (keep[row] < 0 || keep[row] >= locations || slots[keep[row]] >= 0)
            ++wrong;
          else
            slots[keep[row]] = row;
        Index next = 0;
        for (Index l = 0; l < locations && next < locations - kept; ++l)
          if (slots[l] < 0) hidden[b * (locations - kept) + next++] = l;
      });
}

/// What is added to token (n, e) of a rank's own rows.
template <class T>
struct PositionOfKept {
  T const* position;  // [L, D]
  Index const* keep;  // [B, kept], or null for all locations in order
  Index locations, embed;
  OwnRows rows;

  KOKKOS_FUNCTION T operator()(Index own, Index e) const {
    Index const n = rows.row(own);
    return position[(keep == nullptr ? n % locations : keep[n]) * embed + e];
  }
};

/// full[b, l, e] = position[l, e] + (visible[slot, e] or the mask token)
template <class T, class Space>
void fill_in(Context<Space> const& context, Index images, Index locations, Index embed, Index const* slot,
             T const* visible, T const* mask_token, T const* position, T* full) {
  context.loop(
      "dchag::masked_autoencoder::fill_in", images * locations,
      KOKKOS_LAMBDA(Index row) {
        T const* const from = slot[row] < 0 ? mask_token : visible + slot[row] * embed;
        T const* const at = position + row % locations * embed;
        for (Index e = 0; e < embed; ++e) full[row * embed + e] = from[e] + at[e];
      },
      moves<T>(2 * images * locations * embed));
}

/// The backward pass of fill_in: gradients of the visible rows written, those of position and mask token added.
template <class T, class Space>
void pull_fill_in(Context<Space> const& context, Index images, Index locations, Index embed, Index const* slot,
                  T const* gradient, T* visible, T* mask_token, T* position) {
  context.loop(
      "dchag::masked_autoencoder::pull_visible", images * locations,
      KOKKOS_LAMBDA(Index row) {
        for (Index e = 0; slot[row] >= 0 && e < embed; ++e) visible[slot[row] * embed + e] = gradient[row * embed + e];
      },
      moves<T>(images * locations * embed));
  context.loop(
      "dchag::masked_autoencoder::pull_position", embed,
      KOKKOS_LAMBDA(Index e) {
        T masked = 0;
        for (Index l = 0; l < locations; ++l) {
          T sum = 0;
          for (Index b = 0; b < images; ++b) {
            T const value = gradient[(b * locations + l) * embed + e];
            sum += value;
            if (slot[b * locations + l] < 0) masked += value;
          }
          position[l * embed + e] += sum;
        }
        mask_token[e] += masked;
      },
      moves<T>(images * locations * embed));
}

/// position[l, e] += sum of the gradients of the encoder's own rows that sit at location l.
template <class T, class Space>
void pull_kept_position(Context<Space> const& context, Index images, OwnRows const& rows, Index locations, Index embed,
                        Index const* slot, T const* gradient, T* position) {
  context.loop(
      "dchag::masked_autoencoder::pull_kept_position", locations,
      KOKKOS_LAMBDA(Index l) {
        for (Index b = 0; b < images; ++b) {
          Index const row = slot[b * locations + l], own = row < 0 ? -1 : rows.find(row);
          for (Index e = 0; own >= 0 && e < embed; ++e) position[l * embed + e] += gradient[own * embed + e];
        }
      },
      moves<T>(2 * locations * embed));
}

/// some[r] = all[image * locations + hidden[r]], row by row; or the other way, with zero for all other rows.
template <class T, class Space>
void hidden_rows(Context<Space> const& context, Index images, Index locations, Index per_image, Index embed,
                 Index const* hidden, T* all, T* some, bool back) {
  if (back) context.fill(reshape<T*, Space>(all, images * locations * embed), T{0});
  context.loop(
      "dchag::masked_autoencoder::hidden_rows", images * per_image,
      KOKKOS_LAMBDA(Index row) {
        T* const one = all + (row / per_image * locations + hidden[row]) * embed;
        T* const other = some + row * embed;
        for (Index e = 0; e < embed; ++e)
          if (back)
            one[e] = other[e];
          else
            other[e] = one[e];
      },
      moves<T>(2 * images * per_image * embed));
}

}  // namespace dchag::detail
