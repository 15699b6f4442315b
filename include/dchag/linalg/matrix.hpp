#pragma once

#include <dchag/core/types.hpp>
#include <type_traits>

namespace dchag::linalg {

/// A row-major matrix [rows, columns]; row r starts at data + r * stride, so that a range of columns is a matrix too.
template <class T>
struct Matrix {
  T* data;
  Index rows, columns, stride;

  Matrix(T* data, Index rows, Index columns, Index stride) : data(data), rows(rows), columns(columns), stride(stride) {}
  Matrix(T* data, Index rows, Index columns) : Matrix(data, rows, columns, columns) {}
  template <class V>
  requires(Kokkos::is_view_v<V>&& V::rank == 2) Matrix(V const& view)
      : Matrix(view.data(), static_cast<Index>(view.extent(0)), static_cast<Index>(view.extent(1)),
               static_cast<Index>(view.stride(0))) {}

  template <class U>
  requires(!std::is_const_v<U> && std::is_same_v<U const, T>) Matrix(Matrix<U> const& other)
      : Matrix(other.data, other.rows, other.columns, other.stride) {}

  Matrix columns_at(Index first, Index count) const { return {data + first, rows, count, stride}; }
  Matrix rows_at(Index first, Index count) const { return {data + first * stride, count, columns, stride}; }
};

/// outer x inner matrices of one shape at regular distances (in elements): the heads of the images of a batch, say.
template <class T>
struct Batch {
  Matrix<T> first;
  Index outer, outer_stride;
  Index inner, inner_stride;

  Batch(Matrix<T> first, Index outer, Index outer_stride, Index inner = 1, Index inner_stride = 0)
      : first(first), outer(outer), outer_stride(outer_stride), inner(inner), inner_stride(inner_stride) {}

  template <class U>
  requires(!std::is_const_v<U> && std::is_same_v<U const, T>) Batch(Batch<U> const& other)
      : Batch(other.first, other.outer, other.outer_stride, other.inner, other.inner_stride) {}

  Index count() const { return outer * inner; }
  Matrix<T> at(Index index) const {
    return {first.data + index / inner * outer_stride + index % inner * inner_stride, first.rows, first.columns,
            first.stride};
  }
};

enum class Op { none, transpose };

}  // namespace dchag::linalg
