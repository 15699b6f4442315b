// expect: a Trainer's model has a function: double gradients.Context<Space> const&, Batch const&, double weight
#include <dchag/training/trainer.hpp>

struct Model {
  using Scalar = float;
  using Space = Kokkos::Serial;
  struct Batch {
    dchag::Index size() const { return 1; }
  };
  dchag::Parameters<Scalar, Space>& parameters();
  dchag::Mesh const& mesh() const;
  double evaluate(dchag::Context<Space> const&, Batch const&);
};

void train(Model& model) { dchag::Trainer trainer(model, dchag::AdamW{}); }
