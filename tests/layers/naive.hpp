#pragma once

#include <cmath>
#include <dchag/core/types.hpp>
#include <vector>

// What layers compute, in double and as the formulas are written.
namespace dchag::tests::naive {

using Vector = std::vector<double>;

inline Vector linear(Vector const& x, Vector const& weight, Vector const& bias) {
  std::size_t const out = bias.size(), in = weight.size() / out, rows = x.size() / in;
  Vector y(rows * out);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t o = 0; o < out; ++o) {
      double total = bias[o];
      for (std::size_t i = 0; i < in; ++i) total += x[r * in + i] * weight[o * in + i];
      y[r * out + o] = total;
    }
  return y;
}

inline Vector layer_norm(Vector const& x, Vector const& gain, Vector const& offset) {
  std::size_t const width = gain.size();
  Vector y(x.size());
  for (std::size_t r = 0; r < x.size() / width; ++r) {
    double mean = 0, variance = 0;
    for (std::size_t j = 0; j < width; ++j) mean += x[r * width + j] / static_cast<double>(width);
    for (std::size_t j = 0; j < width; ++j)
      variance += std::pow(x[r * width + j] - mean, 2) / static_cast<double>(width);
    for (std::size_t j = 0; j < width; ++j)
      y[r * width + j] = (x[r * width + j] - mean) / std::sqrt(variance + 1e-5) * gain[j] + offset[j];
  }
  return y;
}

inline double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
inline Vector gelu(Vector x) {
  for (double& value : x) value = gelu(value);
  return x;
}

/// qkv [images * locations, 3 * heads * size] -> [images * locations, heads * size]
inline Vector attention(Vector const& qkv, std::size_t images, std::size_t heads, std::size_t size) {
  std::size_t const width = heads * size, rows = qkv.size() / (3 * width), locations = rows / images;
  Vector out(rows * width);
  for (std::size_t image = 0; image < images; ++image)
    for (std::size_t head = 0; head < heads; ++head)
      for (std::size_t q = 0; q < locations; ++q) {
        auto const at = [&](std::size_t location, std::size_t which, std::size_t d) {
          return qkv[(image * locations + location) * 3 * width + which * width + head * size + d];
        };
        Vector weights(locations);
        double sum = 0;
        for (std::size_t k = 0; k < locations; ++k) {
          double score = 0;
          for (std::size_t d = 0; d < size; ++d) score += at(q, 0, d) * at(k, 1, d);
          sum += weights[k] = std::exp(score / std::sqrt(static_cast<double>(size)));
        }
        for (std::size_t k = 0; k < locations; ++k)
          for (std::size_t d = 0; d < size; ++d)
            out[(image * locations + q) * width + head * size + d] += weights[k] / sum * at(k, 2, d);
      }
  return out;
}

inline Vector plus(Vector a, Vector const& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

struct NothingDropped {
  Vector operator()(char const*, Vector x) const { return x; }
};

/// `of(name)` answers the values of the block's parameter of that name; `drop(layer, x)` what is left of the result of
/// a layer.
template <class Values, class Drop = NothingDropped>
Vector block(Vector const& x, std::size_t images, std::size_t heads, Values const& of, Drop const& drop = {}) {
  std::size_t const width = of("norm1.weight").size();
  Vector const qkv =
      linear(layer_norm(x, of("norm1.weight"), of("norm1.bias")), of("attn.qkv.weight"), of("attn.qkv.bias"));
  Vector const attended = attention(qkv, images, heads, width / heads);
  Vector const middle = plus(x, drop("attn.proj", linear(attended, of("attn.proj.weight"), of("attn.proj.bias"))));
  Vector const hidden =
      linear(layer_norm(middle, of("norm2.weight"), of("norm2.bias")), of("mlp.fc1.weight"), of("mlp.fc1.bias"));
  Vector const active = drop("mlp.fc1", gelu(hidden));
  return plus(middle, drop("mlp.fc2", linear(active, of("mlp.fc2.weight"), of("mlp.fc2.bias"))));
}

}  // namespace dchag::tests::naive
