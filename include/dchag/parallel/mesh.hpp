#pragma once

#include <dchag/core/error.hpp>
#include <dchag/parallel/agreement.hpp>
#include <dchag/parallel/communicator.hpp>
#include <utility>

namespace dchag {

/// Ranks along two axes of the mesh; those that are left over are the data axis.
struct MeshShape {
  int model = 1;  // ranks that divide the channels, and share the transformer behind them
  int shard = 1;  // ranks that divide parameters, gradients and optimizer state of one model rank
};

/// data x shard x model: rank = (data * shards + shard) * models + model, so that the model ranks of a replica are
/// neighbours.
class Mesh {
 public:
  /// One rank; needs no MPI.
  Mesh() = default;

  /// Every rank of the world calls it. Throws on all of them where their shapes differ or do not divide the world.
  explicit Mesh(Communicator world, MeshShape shape = {}) : world_(std::move(world)) {
    int const models = shape.model, shards = shape.shard;
    // Among a group of its own, so that the world's traffic is what its users send.
    check_same(world_.split(0, world_.rank()), "mesh", {{"model", models}, {"shard", shards}});
    check(world_.size(), shape);
    int const rank = world_.rank(), model = rank % models, replica = rank / models, shard = replica % shards;
    model_ = world_.split(replica, model);
    replicas_ = world_.split(model, replica);
    shard_ = replicas_.split(replica / shards, shard);
    data_ = replicas_.split(shard, replica / shards);
  }

  /// The mesh of a job that does not run, as its rank number `rank` sees it; needs no MPI. Models are planned on it:
  /// see Communicator::planned(). Throws where the job has no ranks, the shape does not divide them, or there is no
  /// such rank.
  static Mesh planned(int ranks, MeshShape shape = {}, int rank = 0) {
    require(ranks >= 1, "mesh: ranks = ", ranks, ": a job has at least 1");
    require(rank >= 0 && rank < ranks, "mesh: rank = ", rank, " of ", ranks, " ranks: give one from 0 to ", ranks - 1);
    check(ranks, shape);
    int const models = shape.model, shards = shape.shard, replica = rank / models, replicas = ranks / models;
    Mesh mesh;
    mesh.world_ = Communicator::planned({"world", ranks, 1}, rank);
    mesh.model_ = Communicator::planned({"model", models, 1}, rank % models);
    mesh.replicas_ = Communicator::planned({"replicas", replicas, models}, replica);
    mesh.shard_ = Communicator::planned({"shard", shards, models}, replica % shards);
    mesh.data_ = Communicator::planned({"data", replicas / shards, models * shards}, replica / shards);
    return mesh;
  }
  /// Whom the communicators of a planned mesh tell from here on; null: nobody.
  void tell(Work* work) const {
    for (Communicator const* ranks : {&world_, &model_, &shard_, &data_, &replicas_}) ranks->tell(work);
  }

  Communicator const& world() const { return world_; }
  Communicator const& model() const { return model_; }  // the ranks of this replica
  Communicator const& shard() const { return shard_; }  // same model rank, same data rank
  Communicator const& data() const { return data_; }    // same model rank, same shard rank
  Communicator const& replicas() const {
    return replicas_;
  }  // same model rank: data x shard, each with images of its own

 private:
  static void check(int ranks, MeshShape shape) {
    check("model", shape.model, ranks, ranks);
    check("shard", shape.shard, ranks / shape.model, ranks);
  }
  static void check(char const* axis, int count, int divided, int ranks) {
    require(count >= 1, "mesh: ", axis, " = ", count, ": give at least 1");
    if (divided % count == 0) return;
    int smaller = count;
    while (divided % smaller != 0) --smaller;
    fail("mesh: ", axis, " = ", count, " does not divide the ", divided, " ranks ",
         divided == ranks ? "of the job" : "that the model axis leaves", ": change ", axis, " to ", smaller,
         ", or start a job of ", ranks / divided * ceil_div(divided, count) * count, " ranks");
  }

  Communicator world_, model_, shard_, data_, replicas_;
};

}  // namespace dchag
