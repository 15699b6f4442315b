#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <dchag/planning/published_run.hpp>

namespace dchag {

/// Bytes of a GPU at one moment of a step, by what they hold.
struct PublishedBytes {
  double parameters = 0;     // float masters
  double gradients = 0;      // float
  double optimizer = 0;      // two moments, and at the update one more copy that AdamW forms
  double half_copies = 0;    // bf16 of the unit that is gathered and, where FSDP divides it, its bf16 gradient
  double tokens = 0;         // of the channels, and the gradients of them
  double aggregation = 0;    // keys, values, outputs of the cross-attentions and their gradients
  double blocks = 0;         // inputs that checkpointing keeps, and the one block that is computed again
  double head = 0;           // image and prediction, bf16 and float
  double communication = 0;  // tokens received from the other ranks and their gradients

  double all() const {
    return parameters + gradients + optimizer + half_copies + tokens + aggregation + blocks + head + communication;
  }
};

/// The moments of a step at which the published code holds most.
struct PublishedMemory {
  PublishedBytes front;   // backward pass of the front end
  PublishedBytes blocks;  // backward pass of what follows the gathered tokens
  PublishedBytes update;  // AdamW

  /// The largest of them: what torch.cuda.max_memory_allocated gives.
  PublishedBytes const& peak() const {
    PublishedBytes const& backward = front.all() > blocks.all() ? front : blocks;
    return update.all() > backward.all() ? update : backward;
  }
};

/// What the authors' machine, MI250X dies of 64 GiB, eight to a node, takes with their code: seconds a unit of what a
/// step does. The memory of a run is counted in copies of tokens and parameters, as all of the artifact's runs show
/// that the code keeps them; these are fitted to the runs with D up to 4096 (benchmarks/published_fit.cpp prints them),
/// and tests/planning/test_published.cpp holds them against the others.
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
  /// exceed the memory. That line is drawn through the nine runs near it, of 0 to 6 retries: within 1 GiB of it a run
  /// may be on the other side.
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
  explicit PublishedProfile(PublishedRun const& run, PublishedMachine const& machine = {})
      : run_(run), machine_(machine) {
    check(run_);
    parameters_ = parameters_of(run_);
    work_ = work_of(run_);
    memory_ = {front_memory(), block_memory(), update_memory()};
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
                          machine_.reserved_tokens * token_bytes() + machine_.reserved_gib * gib;
    return std::min(memory_.peak().all() + beyond, machine_.memory - 1.2 * gib);
  }

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
  /// Bytes of one bf16 token at every place.
  double place_bytes() const { return 2 * run_.rows() * D(); }
  double token_bytes() const { return place_bytes() * run_.own_channels(); }
  double all_token_bytes() const { return place_bytes() * static_cast<double>(run_.channels); }

  PublishedBytes states() const {
    double const own = parameters_.rank() / shards();
    PublishedBytes bytes;
    bytes.parameters = bytes.gradients = 4 * own;
    bytes.optimizer = 8 * own;
    return bytes;
  }

  PublishedBytes step_base() const {
    PublishedBytes bytes = states();
    bytes.half_copies = (run_.shard > 1 ? 4 : 2) * parameters_.front;
    bytes.head = 6 * run_.rows() * run_.pixels() * static_cast<double>(run_.channels);
    return bytes;
  }

  /// Tokens, and their gradients that arrive from keys and from values; of the keys and values likewise.
  PublishedBytes front_memory() const {
    PublishedBytes bytes = step_base();
    double const own = token_bytes(), place = place_bytes(), units = static_cast<double>(run_.units);
    bytes.tokens = 3 * own;
    if (!run_.aggregates()) return bytes;
    switch (run_.method) {
      case PublishedMethod::TensorParallel:
        bytes.aggregation = 3 * own / R();
        break;
      case PublishedMethod::GatheredTokens:
        bytes.tokens = own;
        bytes.communication = 3 * all_token_bytes();
        bytes.aggregation = 3 * all_token_bytes() / R();
        break;
      case PublishedMethod::LinearTree:  // units above one read copies of their channels, formed in turn
        bytes.aggregation = std::max(0.0, (1 - 2 / units) * own + units * place - bytes.head);
        break;
      case PublishedMethod::AttentionTree:
        bytes.aggregation = (2 + 2 / units) * own + 4 * units * place;
        break;
    }
    bytes.aggregation += 3 * place;
    return bytes;
  }

  PublishedBytes block_memory() const {
    PublishedBytes bytes = step_base();
    if (!run_.aggregates()) return states();
    double const own = token_bytes(), all = all_token_bytes(), gathered = R() * place_bytes();
    bytes.tokens = own;
    switch (run_.method) {
      case PublishedMethod::TensorParallel:
        bytes.aggregation = 3 * own / R();
        break;
      case PublishedMethod::GatheredTokens:
        bytes.communication = all;
        bytes.aggregation = 3 * all / R();
        break;
      case PublishedMethod::LinearTree:
        bytes.aggregation = own;
        break;
      case PublishedMethod::AttentionTree:
        bytes.aggregation = 3 * own;
        break;
    }
    if (run_.tree()) bytes.communication = 2 * gathered;
    if (run_.whole()) bytes.blocks = (depth() + block_tokens) * place_bytes() * seen();
    return bytes;
  }

  PublishedBytes update_memory() const {
    PublishedBytes bytes = states();
    bytes.optimizer += 4 * parameters_.rank() / shards();
    return bytes;
  }

  /// Bytes that a rank sends in the collectives of the tensor-parallel group: tokens out and, in plain tensor
  /// parallelism, their gradients all-reduced; six all-reduces a block, two of them of its second forward pass.
  double tensor_traffic() const {
    double const ring = (R() - 1) / R(), place = place_bytes();
    double sent = 6 * 2 * ring * place * seen() * depth();
    if (run_.method == PublishedMethod::GatheredTokens) sent += ring * all_token_bytes();
    if (!run_.aggregates()) return sent;
    return sent + (run_.tree() ? ring * place * (3 * R() + 2) : 2 * ring * (all_token_bytes() + place));
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
        return seconds + all_token_bytes() * (machine_.key_byte / R() + machine_.token_gradient_byte);
      case PublishedMethod::LinearTree: {
        double const others = 1 - 1 / static_cast<double>(run_.units);
        return seconds + token_bytes() * (machine_.linear_byte + others * machine_.split_byte);
      }
      case PublishedMethod::AttentionTree:
        return seconds + token_bytes() * machine_.key_byte;
    }
    return seconds;
  }

  PublishedSeconds time_of_step() const {
    PublishedSeconds seconds;
    seconds.tokens = token_bytes() * machine_.token_byte + run_.own_channels() * machine_.channel;
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
    std::int64_t const nodes = (run_.ranks() + machine_.dies_a_node - 1) / machine_.dies_a_node;
    if (stalls()) seconds.stall = nodes > 1 ? machine_.far_stall : machine_.near_stall;
    seconds.waiting = seconds.all() * machine_.node * static_cast<double>(std::min(nodes, machine_.largest_nodes) - 1);
    return seconds;
  }

  double needed() const { return memory_.peak().all() + machine_.slack_byte * parameters_.rank() / shards(); }

  static constexpr double block_tokens = 8;  // of a block that is computed again, in tokens a place

  PublishedRun run_;
  PublishedMachine machine_;
  PublishedParameters parameters_;
  PublishedWork work_;
  PublishedMemory memory_;
  PublishedSeconds seconds_;
};

}  // namespace dchag
