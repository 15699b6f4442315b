#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/planning/published_memory.hpp>
#include <dchag/planning/published_run.hpp>

namespace dchag {

/// What the authors' machine, MI250X dies of 64 GiB, eight to a node, takes with their code: seconds a unit of what a
/// step does. Fitted to the runs that fitted() of published_table.hpp names (benchmarks/published_fit.cpp prints them);
/// tests/planning/test_published.cpp holds them against the others.
struct PublishedMachine {
  double token_byte = 5.5e-11;        // tokenizing, forward and backward: a byte of bf16 tokens
  double channel = 0.000176;          // launches of one channel's tokenizer
  double product = 2.05e-14;          // a multiply-add of a matrix product: 98 TFLOP/s in bf16
  double fused_attention = 2.16e-12;  // attention, all its passes, a multiply-add of one: heads of up to 128 features
  double key_byte = 1.6e-10;          // cross-attention beyond its products: a byte of keys
  double token_gradient_byte = 4.08e-11;  // adding up gradients of tokens that every rank holds: a byte of tokens
  double linear_byte = 1.91e-10;          // a Linear unit: a byte of the tokens that it reads
  double split_byte = 1.03e-10;           // handing tokens to Linear units beyond the first: a byte
  double near_byte = 1.32e-11;            // a collective within a node: a byte that a rank sends
  double far_byte = 2.22e-11;             // the same of a tensor-parallel group over several nodes
  double hop = 3.46e-05;                  // latency of a collective: a step of its ring
  double step = 0.00819;                  // whatever else a step takes

  /// AdamW, a parameter: some 120 bytes through its unfused kernels at 1.2 of the die's 1.6 TB/s. Not fitted, since the
  /// runs tell it from the products only where D is large.
  double parameter = 1e-10;
  /// FSDP and data parallelism over nodes: a byte by a die's part of the node's four adapters of 25 GB/s.
  double network_byte = 1 / 12.5e9;
  /// Waiting for the slowest: a part of the step for every node but the first. The artifact has no run on more than
  /// 128 nodes; beyond them it is held.
  double node = 0.0073;
  std::int64_t largest_nodes = 128;

  /// Where the allocator gives its cache back and takes it again in every step, a group within a node or one over
  /// several, whose peers wait, takes so much longer. It does where the allocated peak and slack_byte a parameter
  /// exceed the memory. The times of the fitted runs leave 9.25 to 9.7 for it, of which the most is taken: a run near
  /// the end of the memory is expected to stall. Within 1 GiB of that line it may be on the other side.
  double near_stall = 0.45;
  double far_stall = 2.6;
  double slack_byte = 9.7;

  /// What the allocator holds beyond the allocated peak, up to most of the memory: bytes a parameter of a die, a part
  /// of its tokens, and GiB.
  double reserved_parameter = 4.6;
  double reserved_tokens = 0.27;
  double reserved_gib = 3.2;

  std::int64_t dies_a_node = 8;
  double memory = 63.98 * 1024 * 1024 * 1024;  // bytes of a die
};

/// Seconds of a step, by what takes them.
struct PublishedSeconds {
  double tokens = 0;
  double aggregation = 0;
  double blocks = 0;
  double head = 0;
  double communication = 0;  // of the tensor-parallel group
  double sharding = 0;       // FSDP and data parallelism
  double optimizer = 0;
  double overhead = 0;
  double waiting = 0;  // for the slowest node
  double stall = 0;    // of the allocator

  double all() const {
    return tokens + aggregation + blocks + head + communication + sharding + optimizer + overhead + waiting + stall;
  }
};

/// What the published code needs for a run: memory a GPU, operations and time. Throws Error as check does.
class PublishedProfile {
 public:
  explicit PublishedProfile(PublishedRun const& run, PublishedMachine const& machine = {},
                            PublishedCopies const& copies = {})
      : run_(run), machine_(machine) {
    check(run_);
    parameters_ = parameters_of(run_);
    work_ = work_of(run_);
    memory_ = memory_of(run_, copies);
    seconds_ = time_of_step();
  }

  PublishedRun const& run() const { return run_; }
  PublishedParameters const& parameters() const { return parameters_; }
  PublishedWork const& work() const { return work_; }
  PublishedMemory const& memory() const { return memory_; }
  PublishedSeconds const& seconds() const { return seconds_; }

  /// Bytes that the allocator holds, torch.cuda.max_memory_reserved: what the paper's ratios of memory are of.
  double reserved() const {
    constexpr double gib = 1024.0 * 1024 * 1024;
    double const beyond = machine_.reserved_parameter * parameters_.rank() / shards() +
                          machine_.reserved_tokens * run_.token_bytes() + machine_.reserved_gib * gib;
    return std::min(memory_.peak().all() + beyond, machine_.memory - 1.2 * gib);
  }

  std::int64_t nodes() const { return (run_.ranks() + machine_.dies_a_node - 1) / machine_.dies_a_node; }
  double samples_per_second() const { return run_.images_a_step() / seconds_.all(); }
  /// As the authors report it: the operations of three forward passes a step and GPU, in 1e12 a second.
  double teraflops() const { return work_.operations_a_step() / seconds_.all() / 1e12; }
  /// Whether the allocator runs into the end of the memory in every step.
  bool stalls() const { return needed() > machine_.memory; }
  /// Whether the peak leaves room for what the communication library and fragments take (2 GiB).
  bool fits() const { return memory_.peak().all() + 2.0 * 1024 * 1024 * 1024 < machine_.memory; }

 private:
  double D() const { return static_cast<double>(run_.embed); }
  double R() const { return static_cast<double>(run_.tensor); }
  double depth() const { return run_.whole() ? static_cast<double>(run_.depth) : 0; }
  double seen() const { return 1 - run_.masked; }
  double shards() const { return static_cast<double>(run_.shard); }

  /// Bytes that a rank sends in the collectives of the tensor-parallel group: tokens out and, in plain tensor
  /// parallelism, their gradients all-reduced; six all-reduces a block, two of them of its second forward pass.
  double tensor_traffic() const {
    double const ring = (R() - 1) / R(), place = run_.place_bytes();
    double sent = 6 * 2 * ring * place * seen() * depth();
    if (run_.method == PublishedMethod::GatheredTokens) sent += ring * run_.all_token_bytes();
    if (!run_.aggregates()) return sent;
    return sent + (run_.tree() ? ring * place * (3 * R() + 2) : 2 * ring * (run_.all_token_bytes() + place));
  }

  double sharding_seconds() const {
    double const parameters = parameters_.rank(), shard = shards(), data = static_cast<double>(run_.data);
    bool const near_shards = run_.tensor * run_.shard <= machine_.dies_a_node;
    bool const near_replicas = run_.ranks() <= machine_.dies_a_node;
    // bf16: gathered ahead of both passes, gradients scattered; then all-reduced over the replicas.
    double const gathers = 6 * parameters * (shard - 1) / shard;
    double const reduces = 4 * parameters / shard * (data - 1) / data;
    return gathers * (near_shards ? machine_.near_byte : machine_.network_byte) +
           reduces * (near_replicas ? machine_.near_byte : machine_.network_byte);
  }

  double aggregation_seconds() const {
    if (!run_.aggregates()) return 0;
    double seconds = 3 * machine_.product * (work_.first_level + work_.cross_attention);
    switch (run_.method) {
      case PublishedMethod::TensorParallel:
      case PublishedMethod::GatheredTokens:
        return seconds + run_.all_token_bytes() * (machine_.key_byte / R() + machine_.token_gradient_byte);
      case PublishedMethod::LinearTree: {
        double const others = 1 - 1 / static_cast<double>(run_.units);
        return seconds + run_.token_bytes() * (machine_.linear_byte + others * machine_.split_byte);
      }
      case PublishedMethod::AttentionTree:
        return seconds + run_.token_bytes() * machine_.key_byte;
    }
    return seconds;
  }

  PublishedSeconds time_of_step() const {
    PublishedSeconds seconds;
    seconds.tokens = run_.token_bytes() * machine_.token_byte + run_.own_channels() * machine_.channel;
    seconds.aggregation = aggregation_seconds();
    // Blocks run forward twice; attention's own count of passes is in its rate.
    bool const fused = D() / static_cast<double>(run_.heads) <= 128;
    seconds.blocks = 4 * machine_.product * (work_.blocks + (fused ? 0 : work_.attention)) +
                     (fused ? machine_.fused_attention * work_.attention : 0);
    seconds.head = 3 * machine_.product * work_.head;
    bool const near = run_.tensor <= machine_.dies_a_node;
    seconds.communication =
        tensor_traffic() * (near ? machine_.near_byte : machine_.far_byte) + 6 * depth() * 2 * (R() - 1) * machine_.hop;
    seconds.sharding = sharding_seconds();
    seconds.optimizer = machine_.parameter * parameters_.rank() / shards();
    seconds.overhead = machine_.step;
    if (stalls()) seconds.stall = nodes() > 1 ? machine_.far_stall : machine_.near_stall;
    double const others = static_cast<double>(std::min(nodes(), machine_.largest_nodes) - 1);
    seconds.waiting = seconds.all() * machine_.node * others;
    return seconds;
  }

  double needed() const { return memory_.peak().all() + machine_.slack_byte * parameters_.rank() / shards(); }

  PublishedRun run_;
  PublishedMachine machine_;
  PublishedParameters parameters_;
  PublishedWork work_;
  PublishedMemory memory_;
  PublishedSeconds seconds_;
};

}  // namespace dchag
