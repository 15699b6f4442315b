#pragma once

// Everything that a user of the library needs. io/npy.hpp, io/batches.hpp, io/picture.hpp, io/plot.hpp and testing/ are
// included by whoever wants them.
#include <dchag/io/batch_order.hpp>
#include <dchag/models/forecaster.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/environment.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/training/adamw.hpp>
#include <dchag/training/checkpoint.hpp>
#include <dchag/training/field_sums.hpp>
#include <dchag/training/log.hpp>
#include <dchag/training/progress.hpp>
#include <dchag/training/schedule.hpp>
#include <dchag/training/trainer.hpp>
