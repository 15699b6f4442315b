#include <mpi.h>

#include <dchag/models/encoder.hpp>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Communicator;
using dchag::Encoder;
using dchag::Index;
using dchag::Replicated;
using dchag::Sequence;
using dchag::Sharing;
using dchag::TensorSequence;
using dchag::Traffic;
using HeadParallel = dchag::Tensor;  // dchag::tests has a Tensor of its own
using Parameters = dchag::Parameters<double, Space>;
using Vector = std::vector<double>;

namespace {

struct Sizes {
  Index images, locations, heads, head_size, depth, hidden;

  Index rows() const { return images * locations; }
  Index embed() const { return heads * head_size; }
  dchag::TransformerConfig config() const {
    double const ratio = (static_cast<double>(hidden) + 0.5) / static_cast<double>(embed());
    return {.embed = embed(), .heads = heads, .depth = depth, .mlp_ratio = ratio};
  }
};

std::ostream& operator<<(std::ostream& out, Sizes const& s) {
  return out << s.images << " images, " << s.locations << " locations, " << s.heads << " heads of " << s.head_size
             << ", depth " << s.depth << ", hidden " << s.hidden;
}

template <class Strategy>
inline constexpr bool divides_heads =
    std::is_same_v<Strategy, HeadParallel> || std::is_same_v<Strategy, TensorSequence>;

/// The same on every rank: some that are awkward for any number of ranks, and some at random.
template <class Strategy>
std::vector<Sizes> cases(Index ranks) {
  Index const unit = divides_heads<Strategy> ? ranks : 1;
  std::vector<Sizes> all{{1, 1, unit, 3, 1, 1},                         // fewer locations and hidden than ranks
                         {2, ranks + 1, 2 * unit, 2, 2, 4 * unit + 1},  // one more than the ranks
                         {3, 2 * ranks, ranks, 2, 1, 2 * ranks}};       // all even
  std::mt19937 random(11);
  auto const below = [&](Index end) { return static_cast<Index>(random() % static_cast<unsigned>(end)); };
  for (int i = 0; i < 6; ++i) {
    Index const heads = divides_heads<Strategy> ? ranks * (1 + below(2)) : 1 + below(2 * ranks);
    Index const size = 1 + below(4);
    all.push_back({1 + below(3), 1 + below(3 * ranks), heads, size, 1 + below(3), 1 + below(3 * heads * size)});
  }
  return all;
}

template <class Values>
void sum_over_ranks(std::vector<Values>& values) {
  auto const type = std::is_same_v<Values, double> ? MPI_DOUBLE : MPI_INT;
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), type, MPI_SUM, MPI_COMM_WORLD);
}

/// The whole gradient, from what all ranks hold of it. Every element of a divided one is held exactly once.
Vector whole_gradient(dchag::Parameter<double, Space> const& parameter) {
  Vector held = host_copy(parameter.gradients, parameter.size());
  auto const& placement = parameter.placement;
  if (placement.sharing == Sharing::summed) sum_over_ranks(held);
  if (placement.sharing != Sharing::divided) return held;
  Vector whole(static_cast<std::size_t>(parameter.whole_size()));
  std::vector<int> holders(whole.size());
  std::size_t next = 0;
  for (Index out = 0; out < placement.outer; ++out)
    for (auto const& range : placement.ranges)
      for (Index entry = range.begin; entry < range.begin + range.count; ++entry)
        for (Index in = 0; in < placement.inner; ++in) {
          auto const element = static_cast<std::size_t>((out * placement.extent + entry) * placement.inner + in);
          whole[element] = held[next++];
          ++holders[element];
        }
  CHECK(next == held.size());
  sum_over_ranks(whole);
  sum_over_ranks(holders);
  CHECK(holders == std::vector<int>(holders.size(), 1));
  return whole;
}

/// Whether the numbers are those of the first rank, bit for bit.
bool as_on_first_rank(Vector const& values) {
  Vector first = values;
  MPI_Bcast(first.data(), static_cast<int>(first.size()), MPI_DOUBLE, 0, MPI_COMM_WORLD);
  return first == values;
}

struct Pass {
  Vector output, input_gradient, evaluated;
  std::vector<std::string> names;
  std::vector<Vector> gradients;  // whole
  Traffic forward, backward, evaluate;
};

/// evaluate, forward and backward, first over sizes alone and then with just the storage that this measured.
template <class Strategy, bool recompute>
Pass pass(Sizes const& sizes, Communicator const& group, double dropout = 0) {
  Parameters parameters;
  Encoder<double, Space, recompute, Strategy> encoder(parameters, sizes.config(), "", group, {dropout, 9});
  encoder.begin_batch(4, 1);
  parameters.allocate(3);
  randomize(parameters);
  Tensor<double> const x(sizes.rows(), sizes.embed(), "x"), g(sizes.rows(), sizes.embed(), "g"),
      e(sizes.rows(), sizes.embed(), "x");
  Pass result;
  auto const counted = [&](Traffic& traffic, auto const& body) {
    group.reset_traffic();
    body();
    traffic = group.traffic();
  };
  run([&](auto const& context) {
    counted(result.forward, [&] { encoder.forward(context, x, sizes.images); });
    counted(result.backward, [&] { encoder.backward(context, g); });
    CHECK(context.workspace().used() == 0);
  });
  run([&](auto const& context) {
    counted(result.evaluate, [&] { encoder.evaluate(context, e, sizes.images); });
    CHECK(context.workspace().used() == 0);
  });
  result.output = x.host();
  result.input_gradient = g.host();
  result.evaluated = e.host();
  for (auto const& parameter : parameters.all()) {
    result.names.push_back(parameter.name);
    result.gradients.push_back(whole_gradient(parameter));
  }
  return result;
}

double magnitude(Vector const& values) {
  double largest = 0;
  for (double value : values) largest = std::isnan(value) ? INFINITY : std::max(largest, std::fabs(value));
  return largest;
}

void same(Pass const& found, Pass const& expected) {
  CHECK(difference(found.output, expected.output) < 1e-10);
  CHECK(difference(found.input_gradient, expected.input_gradient) < 1e-10);
  CHECK(difference(found.evaluated, expected.evaluated) < 1e-10);
  CHECK(as_on_first_rank(found.output));
  CHECK(as_on_first_rank(found.input_gradient));
  REQUIRE(found.names == expected.names);
  double largest = 0;
  for (auto const& gradient : expected.gradients) largest = std::max(largest, magnitude(gradient));
  for (std::size_t i = 0; i < expected.names.size(); ++i) {
    INFO(expected.names[i]);
    Vector off = found.gradients[i];
    REQUIRE(off.size() == expected.gradients[i].size());
    for (std::size_t j = 0; j < off.size(); ++j) off[j] -= expected.gradients[i][j];
    // Those of keys' biases, and of queries where there is one location, are zero but for rounding.
    CHECK(magnitude(off) <= std::max(1e-10 * magnitude(expected.gradients[i]), 1e-13 * largest));
  }
}

/// What a pass must send: `calls` calls of `numbers` numbers each.
void add(Traffic::Verb& verb, Index calls, Index numbers) {
  verb.calls += calls;
  verb.bytes += calls * numbers * static_cast<Index>(sizeof(double));
}

template <class Strategy>
Traffic expected_forward(Sizes const& s, Index ranks, bool prepares_only = false);

template <>
Traffic expected_forward<Replicated>(Sizes const&, Index, bool) {
  return {};
}
template <>
Traffic expected_forward<HeadParallel>(Sizes const& s, Index, bool prepares_only) {
  Traffic traffic;
  add(traffic.all_reduce, s.depth * (prepares_only ? 1 : 2), s.rows() * s.embed());
  return traffic;
}
template <>
Traffic expected_forward<TensorSequence>(Sizes const& s, Index ranks, bool prepares_only) {
  Traffic traffic;
  Index const piece = dchag::ceil_div(s.rows(), ranks) * s.embed();
  add(traffic.all_gather, s.depth * 2 + (prepares_only ? 0 : 1), piece);
  add(traffic.reduce_scatter, s.depth * (prepares_only ? 1 : 2), ranks * piece);
  return traffic;
}
template <>
Traffic expected_forward<Sequence>(Sizes const& s, Index ranks, bool prepares_only) {
  Traffic traffic;
  Index const piece = s.images * dchag::ceil_div(s.locations, ranks) * s.embed();
  if (s.heads % ranks == 0) {
    add(traffic.all_to_all, s.depth, 3 * piece);
    add(traffic.all_to_all, s.depth, piece);
  } else {
    add(traffic.all_gather, s.depth, 2 * piece);
  }
  if (!prepares_only) add(traffic.all_gather, 1, piece);
  return traffic;
}

template <class Strategy>
Traffic expected_backward(Sizes const& s, Index ranks) {
  Traffic traffic = expected_forward<Strategy>(s, ranks);
  if constexpr (std::is_same_v<Strategy, TensorSequence>)
    add(traffic.all_gather, s.depth * 2, dchag::ceil_div(s.rows(), ranks) * s.embed());
  if (std::is_same_v<Strategy, Sequence> && s.heads % ranks != 0)
    add(traffic.reduce_scatter, s.depth, 2 * ranks * s.images * dchag::ceil_div(s.locations, ranks) * s.embed());
  return traffic;
}

Traffic operator+(Traffic a, Traffic const& b) {
  auto const plus = [](Traffic::Verb& to, Traffic::Verb const& from) {
    to.calls += from.calls;
    to.bytes += from.bytes;
  };
  plus(a.all_reduce, b.all_reduce);
  plus(a.all_gather, b.all_gather);
  plus(a.reduce_scatter, b.reduce_scatter);
  plus(a.all_to_all, b.all_to_all);
  return a;
}

/// Numbers that forward leaves on the workspace for backward.
template <class Strategy>
Index kept(Sizes const& sizes, Communicator const& group) {
  Parameters parameters;
  Encoder<double, Space, false, Strategy> encoder(parameters, sizes.config(), "", group);
  dchag::Workspace<Space> workspace;
  encoder.forward(dchag::Context<Space>(workspace), {nullptr, sizes.rows(), sizes.embed()}, sizes.images);
  return static_cast<Index>(workspace.used() / sizeof(double));
}

template <class Strategy>
Sharing sharing(Sizes const& sizes, Communicator const& group, std::string const& name) {
  Parameters parameters;
  Encoder<double, Space, false, Strategy> const encoder(parameters, sizes.config(), "", group);
  return parameters.find(name)->placement.sharing;
}

template <class Strategy>
std::string complaint(dchag::TransformerConfig const& config, Communicator const& group) {
  Parameters parameters;
  try {
    Encoder<double, Space, false, Strategy> const encoder(parameters, config, "decoder.", group);
  } catch (dchag::Error const& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE_TEMPLATE("ranks that share the encoder give the answer of one, and send what they must", Strategy, Replicated,
                   HeadParallel, Sequence, TensorSequence) {
  Communicator const group(MPI_COMM_WORLD);
  Index const ranks = group.size();
  for (Sizes const& sizes : cases<Strategy>(ranks)) {
    INFO(sizes);
    Pass const one = pass<Replicated, false>(sizes, {});
    Pass const kept = pass<Strategy, false>(sizes, group), recomputed = pass<Strategy, true>(sizes, group);
    same(kept, one);
    same(recomputed, one);
    CHECK(kept.evaluated == kept.output);
    Pass const one_drops = pass<Replicated, false>(sizes, {}, 0.4), drop = pass<Strategy, false>(sizes, group, 0.4);
    same(drop, one_drops);
    same(pass<Strategy, true>(sizes, group, 0.4), one_drops);
    CHECK(one_drops.output != one.output);
    CHECK(drop.evaluated == kept.evaluated);
    CHECK(drop.forward == kept.forward);
    CHECK(drop.backward == kept.backward);
    if (ranks == 1) {
      CHECK(kept.forward == Traffic{});
      CHECK(kept.backward == Traffic{});
      continue;
    }
    CHECK(kept.forward == expected_forward<Strategy>(sizes, ranks));
    CHECK(kept.evaluate == kept.forward);
    CHECK(kept.backward == expected_backward<Strategy>(sizes, ranks));
    CHECK(recomputed.forward == kept.forward);
    CHECK(recomputed.backward == kept.backward + expected_forward<Strategy>(sizes, ranks, true));
  }
}

TEST_CASE_TEMPLATE("one rank alone computes the same with every strategy, bit for bit, in the same storage", Strategy,
                   HeadParallel, Sequence, TensorSequence) {
  Sizes const sizes{2, 7, 3, 4, 2, 20};
  Communicator const self(MPI_COMM_SELF);
  Pass const replicated = pass<Replicated, false>(sizes, {}), alone = pass<Strategy, false>(sizes, self);
  CHECK(alone.output == replicated.output);
  CHECK(alone.input_gradient == replicated.input_gradient);
  CHECK(alone.forward == Traffic{});
  CHECK(alone.backward == Traffic{});
  auto const peak = [&]<class S>(std::type_identity<S>) {
    Parameters parameters;
    Encoder<double, Space, false, S> encoder(parameters, sizes.config());
    dchag::Workspace<Space> workspace;
    dchag::Context<Space> const context(workspace);
    encoder.forward(context, {nullptr, sizes.rows(), sizes.embed()}, sizes.images);
    encoder.backward(context, {nullptr, sizes.rows(), sizes.embed()});
    return workspace.peak();
  };
  CHECK(peak(std::type_identity<Strategy>{}) == peak(std::type_identity<Replicated>{}));
  CHECK(sharing<Strategy>(sizes, self, "blocks.0.attn.qkv.weight") == Sharing::copied);
}

TEST_CASE("strategies place parameters as they compute their gradients") {
  Communicator const group(MPI_COMM_WORLD);
  if (group.size() == 1) return;
  Sizes const sizes{1, 4, group.size(), 2, 1, 8};
  for (std::string const name : {"blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias", "blocks.0.attn.proj.weight",
                                 "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc1.bias", "blocks.0.mlp.fc2.weight"}) {
    CHECK(sharing<HeadParallel>(sizes, group, name) == Sharing::divided);
    CHECK(sharing<TensorSequence>(sizes, group, name) == Sharing::divided);
    CHECK(sharing<Sequence>(sizes, group, name) == Sharing::summed);
    CHECK(sharing<Replicated>(sizes, group, name) == Sharing::copied);
  }
  for (std::string const name : {"blocks.0.norm1.weight", "blocks.0.attn.proj.bias", "blocks.0.norm2.bias",
                                 "blocks.0.mlp.fc2.bias", "norm.weight"}) {
    CHECK(sharing<HeadParallel>(sizes, group, name) == Sharing::copied);
    CHECK(sharing<TensorSequence>(sizes, group, name) == Sharing::summed);
    CHECK(sharing<Sequence>(sizes, group, name) == Sharing::summed);
    CHECK(sharing<Replicated>(sizes, group, name) == Sharing::copied);
  }
}

TEST_CASE_TEMPLATE("heads that do not divide the ranks are refused where heads are divided", Strategy, HeadParallel,
                   TensorSequence) {
  Communicator const group(MPI_COMM_WORLD);
  if (group.size() == 1) return;
  std::string const ranks = std::to_string(group.size());
  dchag::TransformerConfig const config{.embed = 840, .heads = 1, .depth = 1};
  CHECK(complaint<Strategy>(config, group) == "decoder.heads = 1 cannot be divided among the " + ranks +
                                                  " ranks of the model axis: choose decoder.heads = " + ranks +
                                                  ", model = 1, or the strategy Sequence or Replicated");
  CHECK(complaint<Strategy>({.embed = 840, .heads = group.size(), .depth = 1}, group) == "");
  CHECK(complaint<Sequence>(config, group) == "");
  CHECK(complaint<Replicated>(config, group) == "");
}

TEST_CASE("what is kept for backward is divided among the ranks") {
  Communicator const group(MPI_COMM_WORLD);
  Index const ranks = group.size();
  if (ranks == 1) return;
  Sizes const sizes{2, 16 * ranks, ranks, 4, 3, 16 * ranks}, odd{2, 16 * ranks, ranks + 1, 4, 3, 16 * (ranks + 1)};
  auto const block = [](Sizes const& s) { return 10 * s.embed() + s.heads + 2; };  // numbers a row, on one rank
  Index const rows = sizes.rows(), own = rows / ranks, width = sizes.embed(), depth = sizes.depth;
  CHECK(kept<Replicated>(sizes, group) == rows * (depth * block(sizes) + width + 1));
  CHECK(kept<HeadParallel>(sizes, group) ==
        rows * depth * (2 * width + 2) + own * depth * (8 * width + sizes.heads) + rows * (width + 1));
  CHECK(kept<TensorSequence>(sizes, group) == own * (depth * block(sizes) + width + 1 + width));
  CHECK(kept<Sequence>(sizes, group) == own * (depth * (block(sizes) + width) + width + 1 + width));
  CHECK(kept<Sequence>(odd, group) == own * (depth * block(odd) + odd.embed() + 1 + odd.embed()));
}
