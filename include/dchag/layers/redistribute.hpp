#pragma once

#include <dchag/core/context.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/parallel/shares.hpp>

namespace dchag::layers {

// Rows of images between ranks that share their locations. All ranks of the group call these, with the same images and
// columns. Messages are pieces of equal size, one for each rank, padded with zeros.

namespace detail {

/// Pieces [pieces, images, padded, parts, width] of a message and where they stand in the rows of a matrix, whose
/// columns are seen as [parts, part_width]. Piece p is either the p-th share of the locations with all columns, or all
/// locations with the p-th `width` columns of every part.
struct Pieces {
  enum class Are { locations, columns };

  Are are;
  Index first, count, images;
  Shares shares;  // of the locations of the matrix; one share of them all where pieces are columns
  Index padded;
  Index parts, part_width, width;

  KOKKOS_FUNCTION Index rows() const { return count * images * padded; }
  KOKKOS_FUNCTION Index row_size() const { return parts * width; }
  Index size() const { return rows() * row_size(); }

  /// The matrix row, -1 for padding, and the first column of a message row.
  struct Place {
    Index row, column;
  };
  KOKKOS_FUNCTION Place place(Index message_row) const {
    Index const piece = first + message_row / (images * padded), image = message_row / padded % images,
                i = message_row % padded;
    Index const share = are == Are::locations ? piece : 0;
    return {i < shares.count(share) ? image * shares.extent + shares.first(share) + i : -1,
            are == Are::locations ? 0 : piece * width};
  }
};

/// Each rank's share of the locations, with all columns.
inline Pieces by_location(SharedLocations const& where, Index columns) {
  return {
      Pieces::Are::locations, 0, where.group.size(), where.images, where.shares, where.padded(), 1, columns, columns};
}
/// The locations that this rank has, as one piece.
inline Pieces own_locations(SharedLocations const& where, Index columns) {
  return {Pieces::Are::columns, 0, 1, where.images, Shares::even(where.own(), 1), where.padded(), 1, columns, columns};
}
/// The locations that this rank has, each rank's columns of every part.
inline Pieces by_column(SharedLocations const& where, Index parts, Index columns) {
  Index const part_width = columns / parts, ranks = where.group.size();
  return {Pieces::Are::columns, 0,     ranks,      where.images,      Shares::even(where.own(), 1),
          where.padded(),       parts, part_width, part_width / ranks};
}

template <class Space, class T>
void pack(Context<Space> const& context, Pieces const& pieces, linalg::Matrix<T const> from, T* message) {
  T const* const data = from.data;
  Index const stride = from.stride;
  row_loop<T>(
      context, "dchag::redistribute::pack", pieces.rows(),
      KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        auto const place = pieces.place(r);
        for (Index part = 0; part < pieces.parts; ++part) {
          T* const to = message + r * pieces.row_size() + part * pieces.width;
          if (place.row < 0) {
            row.each(pieces.width, [&]<class L>(Index j) { store(to + j, L{}); });
          } else {
            T const* const at = data + place.row * stride + part * pieces.part_width + place.column;
            row.each(pieces.width, [&]<class L>(Index j) { store(to + j, load<L>(at + j)); });
          }
        }
      },
      moves<T>(2 * pieces.size()));
}

template <class Space, class T>
void unpack(Context<Space> const& context, Pieces const& pieces, T const* message, linalg::Matrix<T> to) {
  T* const data = to.data;
  Index const stride = to.stride;
  row_loop<T>(
      context, "dchag::redistribute::unpack", pieces.rows(),
      KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        auto const place = pieces.place(r);
        if (place.row < 0) return;
        for (Index part = 0; part < pieces.parts; ++part) {
          T const* const from = message + r * pieces.row_size() + part * pieces.width;
          T* const at = data + place.row * stride + part * pieces.part_width + place.column;
          row.each(pieces.width, [&]<class L>(Index j) { store(at + j, load<L>(from + j)); });
        }
      },
      moves<T>(2 * pieces.size()));
}

template <class Space, class T>
void exchange(Context<Space> const& context, Communicator const& group, Pieces const& leaving,
              linalg::Matrix<T const> from, Pieces const& arriving, linalg::Matrix<T> to) {
  auto scope = context.workspace().scope();
  auto const sent = context.workspace().template push<T*>(leaving.size()),
             received = context.workspace().template push<T*>(arriving.size());
  pack(context, leaving, from, sent.data());
  group.all_to_all(context, sent, received);
  unpack(context, arriving, static_cast<T const*>(received.data()), to);
}

}  // namespace detail

/// own [own rows, columns] = this rank's locations of whole [images * locations, columns]. No communication.
template <class Space, class T>
void take_locations(Context<Space> const& context, SharedLocations const& where, linalg::Matrix<T> whole,
                    linalg::Matrix<T> own) {
  auto pieces = detail::by_location(where, whole.columns);
  pieces.first = where.group.rank();
  pieces.count = 1;
  pieces.padded = where.own();
  detail::pack(context, pieces, linalg::Matrix<T const>(whole), own.data);
}

/// whole [images * locations, columns] = the locations of all ranks. One all-gather.
template <class Space, class T>
void gather_locations(Context<Space> const& context, SharedLocations const& where,
                      std::type_identity_t<linalg::Matrix<T const>> own, linalg::Matrix<T> whole) {
  auto scope = context.workspace().scope();
  auto const pieces = detail::by_location(where, whole.columns);
  auto const all = context.workspace().template push<T*>(pieces.size());
  Index const piece = pieces.size() / where.group.size();
  auto const part = reshape<T*, Space>(all.data() + where.group.rank() * piece, piece);
  detail::pack(context, detail::own_locations(where, whole.columns), own, part.data());
  where.group.all_gather(context, part, all);
  detail::unpack(context, pieces, static_cast<T const*>(all.data()), whole);
}

/// own [own rows, columns] = this rank's locations of the sum of all ranks' whole. One reduce-scatter.
template <class Space, class T>
void reduce_locations(Context<Space> const& context, SharedLocations const& where,
                      std::type_identity_t<linalg::Matrix<T const>> whole, linalg::Matrix<T> own) {
  auto scope = context.workspace().scope();
  auto const pieces = detail::by_location(where, whole.columns);
  auto const all = context.workspace().template push<T*>(pieces.size());
  auto const part = context.workspace().template push<T*>(pieces.size() / where.group.size());
  detail::pack(context, pieces, whole, all.data());
  where.group.reduce_scatter(context, all, part);
  detail::unpack(context, detail::own_locations(where, whole.columns), static_cast<T const*>(part.data()), own);
}

/// From some locations with all heads to all locations with some heads: own [own rows, parts * width] becomes
/// all [images * locations, parts * (width / ranks)]. One all-to-all.
template <class Space, class T>
void locations_to_heads(Context<Space> const& context, SharedLocations const& where, Index parts,
                        std::type_identity_t<linalg::Matrix<T const>> own, linalg::Matrix<T> all) {
  detail::exchange<Space, T>(context, where.group, detail::by_column(where, parts, own.columns), own,
                             detail::by_location(where, all.columns), all);
}

/// The way back.
template <class Space, class T>
void heads_to_locations(Context<Space> const& context, SharedLocations const& where, Index parts,
                        std::type_identity_t<linalg::Matrix<T const>> all, linalg::Matrix<T> own) {
  detail::exchange<Space, T>(context, where.group, detail::by_location(where, all.columns), all,
                             detail::by_column(where, parts, own.columns), own);
}

}  // namespace dchag::layers
