// expect: the Batch of a Trainer's model has a function: Index size.. const, its images
#include <dchag/training/trainer.hpp>

struct Model {
  using Scalar = float;
  using Space = Kokkos::Serial;
  struct Batch {};
  dchag::Parameters<Scalar, Space>& parameters();
  dchag::Mesh const& mesh() const;
  double gradients(dchag::Context<Space> const&, Batch const&, double);
  double evaluate(dchag::Context<Space> const&, Batch const&);
};

void train(Model& model) { dchag::Trainer trainer(model, dchag::AdamW{}); }
