#include <dchag/layers/attention.hpp>

#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

/// Peak bytes of forward and backward, beyond qkv, out and their gradients.
std::size_t peak_bytes(Index images, Index heads, Index locations, Index size) {
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  dchag::layers::Attention<float, Space> attention(heads, size);
  dchag::linalg::Matrix<float> const qkv(nullptr, images * locations, 3 * heads * size),
      out(nullptr, images * locations, heads * size);
  attention.forward(context, qkv, out, images);
  attention.backward(context, qkv, out, out, qkv);
  return workspace.peak();
}

}  // namespace

TEST_CASE_TEMPLATE("attention is softmax(Q K^T / sqrt(d)) V for each head of each image", T, float, double) {
  struct Sizes {
    Index images, heads, locations, size;
  };
  // The last three take several tiles, by images and heads and by queries, or a thread's several blocks of keys.
  for (Sizes const& sizes : {Sizes{1, 1, 1, 1}, Sizes{2, 3, 7, 5}, Sizes{3, 2, 33, 16}, Sizes{5, 3, 150, 4},
                             Sizes{1, 3, 700, 2}, Sizes{1, 4, 700, 20}}) {
    Index const images = sizes.images, heads = sizes.heads, locations = sizes.locations, size = sizes.size;
    INFO("images ", images, ", heads ", heads, ", locations ", locations, ", head size ", size);
    Tensor<T> const qkv(images * locations, 3 * heads * size, "qkv", 1.5), out(images * locations, heads * size);
    dchag::layers::Attention<T, Space> attention(heads, size);
    run([&](auto const& context) { attention.forward(context, qkv, out, images); });
    CHECK(difference(out.host(), naive::attention(qkv.host(), static_cast<std::size_t>(images),
                                                  static_cast<std::size_t>(heads), static_cast<std::size_t>(size))) <
          tolerance<T>);
  }
}

TEST_CASE("attention's gradients are those of finite differences, in one tile and in many") {
  for (Index const locations : {9, 420}) {
    Index const images = 2, heads = 3, size = 3, rows = images * locations;
    Tensor<double> const qkv(rows, 3 * heads * size, "qkv", 1.5), out(rows, heads * size),
        dout(rows, heads * size, "dout"), dqkv(rows, 3 * heads * size);
    dchag::layers::Attention<double, Space> attention(heads, size);
    run([&](auto const& context) {
      attention.forward(context, qkv, out, images);
      attention.backward(context, qkv, out, dout, dqkv);
      if (context.dry()) return;
      Kokkos::fence();
      auto const loss = [&] {
        context.workspace().release(0);
        attention.forward(context, qkv, out, images);
        Kokkos::fence();
        return dot(out.host(), dout.host());
      };
      auto const report = dchag::testing::check_gradients<Space>({qkv.by("qkv", dqkv)}, loss, {.elements = 20});
      INFO(report);
      CHECK(report.error < 1e-7);
    });
  }
}

TEST_CASE("queries of some locations get their rows of the whole, and their parts of the keys' gradients add up") {
  using dchag::layers::AttentionRows;
  using Rows = dchag::linalg::Matrix<double>;
  for (Index const locations : {7, 420}) {  // in one tile and in many
    Index const images = 2, heads = 3, size = 4, width = heads * size, rows = images * locations;
    Tensor<double> const qkv(rows, 3 * width, "qkv", 1.5), dout(rows, width, "dout"), out(rows, width),
        dqkv(rows, 3 * width);
    dchag::layers::Attention<double, Space> attention(heads, size);
    run([&](auto const& context) {
      attention.forward(context, qkv, out, images);
      attention.backward(context, qkv, out, dout, dqkv);
    });
    std::vector<double> sum(static_cast<std::size_t>(rows * 2 * width));
    for (Index const first : {Index{0}, Index{3}, Index{4}}) {
      Index const queries = first == 0 ? 3 : first == 3 ? 1 : locations - 4;
      auto const own = [&](std::vector<double> const& whole) {
        std::vector<double> part;
        for (Index r = 0; r < images * queries; ++r)
          for (Index j = 0; j < width; ++j)
            part.push_back(whole[static_cast<std::size_t>(
                (r / queries * locations + first + r % queries) * static_cast<Index>(whole.size()) / rows + j)]);
        return part;
      };
      Tensor<double> const q(images * queries, width), o(images * queries, width), d(images * queries, width),
          dq(images * queries, width), dkv(rows, 2 * width);
      q.assign(own(qkv.host()));
      d.assign(own(dout.host()));
      auto const all = AttentionRows<double const>::of(qkv);
      run([&](auto const& context) {
        attention.keep(context, images, queries);
        AttentionRows<double const> const in{q, all.keys, all.values};
        attention.attend(context, in, o);
        attention.backward(context, in, o, d, {dq, Rows(dkv).columns_at(0, width), Rows(dkv).columns_at(width, width)});
      });
      CHECK(difference(o.host(), own(out.host())) < tolerance<double>);
      CHECK(difference(dq.host(), own(dqkv.host())) < tolerance<double>);
      auto const part = dkv.host();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    std::vector<double> expected;
    auto const whole = dqkv.host();
    for (std::size_t i = 0; i < whole.size(); ++i)
      if (i % static_cast<std::size_t>(3 * width) >= static_cast<std::size_t>(width)) expected.push_back(whole[i]);
    CHECK(difference(sum, expected) < tolerance<double>);
  }
}

TEST_CASE("attention of scores in the thousands neither overflows nor vanishes") {
  Tensor<float> const qkv(8, 6, "qkv", 100), out(8, 2);
  dchag::layers::Attention<float, Space> attention(1, 2);
  run([&](auto const& context) { attention.forward(context, qkv, out, 1); });
  for (double value : out.host()) CHECK(std::isfinite(value));
  auto const values = out.host();
  CHECK(dot(values, values) > 1);
}

TEST_CASE("attention of a value that is no number is no number, for its queries alone") {
  Index const locations = 300, heads = 2, size = 16;
  Tensor<float> const qkv(locations, 3 * heads * size, "qkv"), out(locations, heads * size);
  auto numbers = qkv.host();
  numbers[0] = std::numeric_limits<double>::quiet_NaN();  // of the first query of the first head
  qkv.assign(numbers);
  dchag::layers::Attention<float, Space> attention(heads, size);
  run([&](auto const& context) { attention.forward(context, qkv, out, 1); });
  auto const values = out.host();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::isnan(values[i]) == (i < static_cast<std::size_t>(size)));
}

TEST_CASE("attention needs no buffer that grows with the square of the locations") {
  Index const images = 2, heads = 8, size = 16;
  for (Index locations : {2048, 4096, 8192}) {
    std::size_t const kept = static_cast<std::size_t>(images * heads * locations) * sizeof(float);
    std::size_t const tile = static_cast<std::size_t>(dchag::Pieces::of<Space>().attention_bytes);
    CHECK(peak_bytes(images, heads, locations, size) <= kept + 2 * tile + 4096);
  }
}
