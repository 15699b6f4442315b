#!/usr/bin/env bash
# What a user pays to compile: seconds, and the largest resident memory, of one translation unit with one model and its
# trainer, optimized, without a compiler cache. Prints a line of JSON for each model.
#     bash benchmarks/compile_cost.sh KOKKOS_PREFIX [flags, default -O2 -march=native]
# KOKKOS_PREFIX: where Kokkos and Kokkos Kernels are installed. The compiler is $CXX, else g++.
set -euo pipefail

prefix=${1:?give the folder where Kokkos and Kokkos Kernels are installed}
shift
flags=("$@")
((${#flags[@]})) || flags=(-O2 -march=native)
include=$(cd "$(dirname "${BASH_SOURCE[0]}")/../include" && pwd)
read -r -a mpi <<<"$(mpicxx --showme:compile)"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cost() { # cost NAME MODEL CONFIGURATION BATCH
    cat >"$folder/$1.cpp" <<SOURCE
#include <dchag/dchag.hpp>
using Model = $2;
int main(int argc, char** argv) {
  return dchag::run(argc, argv, [](dchag::Environment& environment) {
    dchag::Mesh mesh(environment.world());
    Model model(mesh, {$3});
    dchag::Trainer trainer(model, dchag::AdamW{.learning_rate = 1e-3}, dchag::WarmupCosine{.warmup = 100, .total = 5000});
    trainer.step(Model::Batch{});
    dchag::save(model, "model.safetensors");
    return 0;
  });
}
SOURCE
    python3 - "$1" "${CXX:-g++}" -std=c++20 -fopenmp "${flags[@]}" "${mpi[@]}" -I"$include" -I"$prefix/include" \
        -c "$folder/$1.cpp" -o "$folder/$1.o" <<'MEASURE'
import json, resource, subprocess, sys, time

began = time.monotonic()
subprocess.run(sys.argv[2:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"model": sys.argv[1], "seconds": round(time.monotonic() - began, 1),
                  "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
                  "peak_resident_bytes": usage.ru_maxrss * 1024, "flags": sys.argv[3:6]}))
MEASURE
}

cost masked_autoencoder "dchag::MaskedAutoencoder<>" \
    ".channels = 200, .height = 144, .width = 144, .patch = 8, .embed = 256, .heads = 8, .depth = 6"
cost forecaster "dchag::Forecaster<dchag::Tree<dchag::Linear<8>, dchag::CrossAttention<1>>>" \
    ".channels = 80, .out_channels = 3, .height = 32, .width = 64, .patch = 2, .embed = 512, .heads = 8, .depth = 8"
