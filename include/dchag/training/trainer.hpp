#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/parallel/shard.hpp>
#include <dchag/training/adamw.hpp>
#include <dchag/training/clip.hpp>
#include <dchag/training/report.hpp>
#include <dchag/training/schedule.hpp>
#include <dchag/training/trainable.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace dchag {

struct TrainerOptions {
  double clip = 1;       // largest norm of all gradients together; 0: not clipped, and the norm not computed
  Index accumulate = 1;  // batches whose mean gradient makes one step
  Index total = 0;       // steps of the whole run, for the reports; 0: the schedule's, where it has an end
};

/// Trains a model: gradients averaged over the batches of a step and over the replicas of the mesh, clipped by their
/// global norm, AdamW, a learning-rate schedule. All ranks of the mesh call its functions together, the model ranks of
/// a replica with the same images, each replica with its own.
///
/// What the ranks of the shard axis divide is what the model's parameters were given to shard() for: nothing, where it
/// did not call it.
///
/// The workspace is measured by a dry run of the model and allocated once, before the first step; steps allocate
/// nothing. It grows when a batch of more images comes than any before.
template <class Model, class Rate = ConstantRate>
class Trainer {
  static_assert(HasTypes<Model>, "a Trainer's model has the types Scalar, Space and Batch");
  static_assert(HasParameters<Model>, "a Trainer's model has a function: Parameters<Scalar, Space>& parameters()");
  static_assert(HasMesh<Model>, "a Trainer's model has a function: Mesh const& mesh() const");
  static_assert(HasBatchSize<Model>, "the Batch of a Trainer's model has a function: Index size() const, its images");
  static_assert(
      HasGradients<Model>,
      "a Trainer's model has a function: double gradients(Context<Space> const&, Batch const&, double weight)");
  static_assert(HasEvaluate<Model>,
                "a Trainer's model has a function: double evaluate(Context<Space> const&, Batch const&)");
  static_assert(Schedule<Rate>,
                "a Trainer's schedule answers the factor on the learning rate: double operator()(Index step) const");

 public:
  using Scalar = typename Model::Scalar;
  using Space = typename Model::Space;
  using Batch = typename Model::Batch;
  using Callback = std::function<void(StepReport const&)>;

  /// The model must outlive it. Throws where an option makes no sense.
  explicit Trainer(Model& model, AdamW optimizer = {}, Rate schedule = {}, TrainerOptions options = {})
      : model_(&model),
        optimizer_(optimizer),
        schedule_(std::move(schedule)),
        options_(options),
        state_(model.parameters()),
        exchange_(shard_exchange(model.parameters(), model.mesh())) {
    optimizer_.check();
    require(options_.clip >= 0, "trainer: clip = ", options_.clip,
            ": give the largest norm of the gradients, or 0 for none");
    require(options_.accumulate >= 1, "trainer: accumulate = ", options_.accumulate, ": give at least 1 batch a step");
    require(options_.total >= 0, "trainer: total = ", options_.total, ": give the steps of the whole run, or 0");
    if constexpr (requires { Index{schedule_.total}; })
      if (options_.total == 0) options_.total = schedule_.total;
    schedule_(0);
  }

  /// Called after every step with what it did, in the order added. A callable that must not be copied goes in by
  /// std::ref.
  void on_step(Callback callback) { callbacks_.push_back(std::move(callback)); }

  /// Measures what steps with such a batch need, and allocates it. The first step does so by itself; call it for the
  /// largest batch where batches of one number of images differ in what they need.
  void plan(Batch const& batch) {
    Workspace<Space> measuring;
    measure(measuring, batch);
    reserve(measuring);
    trained_ = std::max(trained_, static_cast<Index>(batch.size()));
    evaluated_ = std::max(evaluated_, trained_);
  }

  /// Bytes of the workspace that steps with such a batch need, and the work of one step of `accumulate` of them, at any
  /// time of a run but its beginning; the batch's views may lead anywhere. The model may be one without storage, on a
  /// planned mesh, whose communicators count the step's traffic.
  std::size_t rehearse(Batch const& batch, Work& work) {
    Workspace<Space> measuring;
    measure(measuring, batch);
    std::size_t const bytes = measuring.peak();
    trained_ = std::max(trained_, static_cast<Index>(batch.size()));
    Context<Space> const context(measuring, work, space_);
    clean_ = keeps_gradients_clean();
    model_->mesh().tell(&work);
    try {
      for (Index i = 0; i < options_.accumulate; ++i) add_gradients(context, batch, options_.accumulate);
      update(context);
    } catch (...) {
      discard();
      model_->mesh().tell(nullptr);
      throw;
    }
    model_->mesh().tell(nullptr);
    return bytes;
  }

  /// One batch. Where accumulate = 1 that is a step; else every accumulate-th call is. Answers the mean loss of the
  /// step's batches so far: of all replicas when the step is complete, of this rank before.
  double step(Batch const& batch) {
    add_gradients(batch, options_.accumulate);
    return pending_ == options_.accumulate ? update() : loss_ / static_cast<double>(pending_);
  }

  /// One step on the mean gradient of these batches, however many accumulate says. Answers their mean loss over all
  /// replicas.
  double step(std::span<Batch const> batches) {
    require(!batches.empty(), "trainer: a step of no batches: give at least one");
    require(pending_ == 0, "trainer: ", pending_, " of ", options_.accumulate,
            " batches of a step were given one by one: complete it");
    for (Batch const& batch : batches) add_gradients(batch, static_cast<Index>(batches.size()));
    return update();
  }

  /// The mean loss over all images of the batches of all replicas, without gradients. Throws where there is none, and
  /// where values are sharded and the ranks of a shard axis have different numbers of batches.
  template <std::ranges::input_range Batches>
  requires std::convertible_to<std::ranges::range_reference_t<Batches>, Batch const&> double evaluate(
      Batches&& batches) {
    std::array<double, 2> sums{};  // of losses, of images
    auto scope = workspace_.scope();
    for (Batch const& batch : batches) {
      check_others_evaluate(1);
      Index const images = static_cast<Index>(batch.size());
      if (images > evaluated_) plan_evaluation(batch);
      sums[0] += static_cast<double>(images) * model_->evaluate(Context<Space>(workspace_, space_), batch);
      sums[1] += static_cast<double>(images);
    }
    check_others_evaluate(0);
    sums = model_->mesh().replicas().all_reduce(sums);
    require(sums[1] > 0, "trainer: evaluation of no images: give at least one batch");
    return sums[0] / sums[1];
  }
  double evaluate(Batch const& batch) { return evaluate(std::span<Batch const>(&batch, 1)); }

  /// Steps taken since the model was new, those of the runs that were resumed included.
  Index steps() const { return state_.steps(); }

  /// Batches given to a step that is not complete.
  Index pending() const { return pending_; }

  /// Of the last step.
  StepReport const& report() const { return report_; }

  /// Bytes of the workspace, zero before the first step.
  std::size_t workspace_bytes() const { return workspace_.capacity(); }

  Model& model() const { return *model_; }
  AdamWState<Scalar, Space>& optimizer_state() { return state_; }
  AdamWState<Scalar, Space> const& optimizer_state() const { return state_; }

 private:
  using Clock = std::chrono::steady_clock;

  void plan_evaluation(Batch const& batch) {
    Workspace<Space> measuring;
    model_->evaluate(Context<Space>(measuring, space_), batch);
    reserve(measuring);
    evaluated_ = static_cast<Index>(batch.size());
  }

  /// Ranks that gather values from each other run forward passes together.
  void check_others_evaluate(int batches) const {
    if (!model_->parameters().shard().values) return;
    int const size = model_->mesh().shard().size(), ranks = model_->mesh().shard().all_reduce(batches);
    require(ranks == batches * size, "trainer: evaluation of different numbers of batches: ", ranks, " of ", size,
            " ranks of the shard axis, which gather parameters from each other, have one more: give each as many");
  }

  void measure(Workspace<Space>& measuring, Batch const& batch) {
    Context<Space> const dry(measuring, space_);
    if (exchange_ != nullptr) exchange_->begin_plan();
    model_->gradients(dry, batch, 1.0);
    if (exchange_ != nullptr) exchange_->end_plan();
    gradient_norm(dry, model_->parameters());
    model_->evaluate(dry, batch);
  }

  void reserve(Workspace<Space> const& measured) {
    if (workspace_.measuring() || measured.peak() > workspace_.capacity()) workspace_.allocate(measured.peak());
  }

  void add_gradients(Batch const& batch, Index batches) {
    require(model_->parameters().allocated(), "trainer: the model has no storage: build it with storage = true");
    try {
      if (static_cast<Index>(batch.size()) > trained_) plan(batch);
      add_gradients(Context<Space>(workspace_, space_), batch, batches);
    } catch (...) {
      discard();
      throw;
    }
  }

  void add_gradients(Context<Space> const& context, Batch const& batch, Index batches) {
    if (exchange_ != nullptr) exchange_->begin_batch(context, pending_ == 0, pending_ + 1 == batches);
    if (pending_ == 0) begin(context);
    double const weight = 1.0 / static_cast<double>(batches * model_->mesh().replicas().size());
    if constexpr (CountsBatches<Model>) model_->begin_batch(steps(), pending_);
    loss_ += model_->gradients(context, batch, weight);
    context.fence("dchag::trainer::gradients");  // the batch may go, or be filled again
    images_ += static_cast<double>(batch.size());
    ++pending_;
  }

  void begin(Context<Space> const& context) {
    began_ = Clock::now();
    if (!clean_) model_->parameters().zero_gradients(context);
    clean_ = false;
  }

  double update() { return update(Context<Space>(workspace_, space_)); }

  /// Ends a step: the batches of all replicas are done.
  double update(Context<Space> const& context) {
    Phase const phase("dchag::trainer::update");
    Communicator const& replicas = model_->mesh().replicas();
    if (exchange_ != nullptr) exchange_->complete(context);
    auto const [loss_sum, images] =
        replicas.all_reduce(std::array<double, 2>{loss_ / static_cast<double>(pending_), images_});
    double const loss = loss_sum / replicas.size(), rate = optimizer_.learning_rate * schedule_(steps());
    bool const clips = options_.clip > 0;
    double const norm =
        clips ? gradient_norm(context, model_->parameters(), model_->mesh()) : std::numeric_limits<double>::quiet_NaN();
    if (!std::isfinite(loss) || (clips && !std::isfinite(norm))) {
      discard();
      fail("trainer: step ", steps() + 1, ": the loss is ", loss, " and the norm of the gradients ", norm,
           ": the parameters are as before the step; check the data for values that are not finite, or lower the "
           "learning rate");
    }
    state_.step(context, optimizer_, rate, clips ? clip_scale(norm, options_.clip) : 1.0, Gradients::zero,
                [&](std::size_t unit) {
                  if (exchange_ != nullptr) exchange_->publish(context, unit);
                });
    if (exchange_ != nullptr) exchange_->end_publish(context);
    context.fence("dchag::trainer::step");
    discard();
    clean_ = keeps_gradients_clean();
    if (context.dry()) return loss;
    double const seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    report_ = {steps(), options_.total, loss, rate, norm, seconds, images / seconds};
    for (auto const& callback : callbacks_) callback(report_);
    return loss;
  }

  /// Whether the optimizer's pass zeroes all gradients: where shares of whole ones are owned, only these.
  bool keeps_gradients_clean() const {
    Shard const& shard = model_->parameters().shard();
    return shard.count == 1 || shard.gradients;
  }

  void discard() {
    pending_ = 0;
    loss_ = images_ = 0;
    clean_ = false;
    workspace_.release(0);
  }

  Model* model_;
  AdamW optimizer_;
  Rate schedule_;
  TrainerOptions options_;
  AdamWState<Scalar, Space> state_;
  std::shared_ptr<ShardExchange<Scalar, Space>> exchange_;  // none on one rank
  Space space_;
  Workspace<Space> workspace_;
  std::vector<Callback> callbacks_;
  StepReport report_;
  Index trained_ = -1, evaluated_ = -1;  // images of the largest batch planned for
  Index pending_ = 0;                    // batches of the step under way
  double loss_ = 0, images_ = 0;         // their sums
  bool clean_ = false;                   // the gradients are zero
  Clock::time_point began_;
};

}  // namespace dchag
