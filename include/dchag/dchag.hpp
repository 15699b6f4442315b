#pragma once

// Everything that a user of the library needs. What reads and draws data (io/npy.hpp, io/batches.hpp, io/netcdf.hpp,
// io/raster.hpp, models/raster_scene.hpp, io/picture.hpp, io/plot.hpp), planning/ and testing/ are included by whoever
// wants them.
#include <dchag/channels/channel_dropout.hpp>
#include <dchag/io/batch_order.hpp>
#include <dchag/io/channel_catalog.hpp>
#include <dchag/models/climax.hpp>
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
