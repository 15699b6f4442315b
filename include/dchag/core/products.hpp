#pragma once

namespace dchag {

/// How the large products of matrices in float are computed; those in double are never rounded.
enum class Products {
  unrounded,
  bfloat16  // of operands rounded to bfloat16 (nearest, ties to even), added in float
};

}  // namespace dchag
