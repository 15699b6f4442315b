#!/usr/bin/env bash
# The main job from a fresh Debian machine: installs what is missing, builds one example in full optimization, runs it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: cmake/run.sh [hyperspectral] [-- argument...]
Builds and runs examples/hyperspectral_autoencoder on the Indian Pines scene; the arguments after -- are the example's
own (-- --help lists them). OMP_NUM_THREADS and OMP_PROC_BIND are respected where set.
END
}

job=hyperspectral
if (($#)) && [[ $1 != -- ]]; then
  case $1 in
    -h | --help) usage; exit 0 ;;
    hyperspectral) job=$1 ;;
    *) usage >&2; die "unknown job '$1'" ;;
  esac
  shift
fi
if (($#)); then
  [[ $1 == -- ]] || { usage >&2; die "unexpected '$1': the example's own arguments come after --"; }
  shift
fi

install_build_packages
mkdir -p "$dchag_cache/logs"
log=$dchag_cache/logs/run-build.log
case $job in
  hyperspectral)
    program=hyperspectral_autoencoder
    data=$(bash "$dchag_root/cmake/data.sh" | tail -n 1)
    arguments=(--data "$data")
    ;;
esac

say "building $program"
prefix=$(kokkos host)
if ! { configure run "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_ENABLE_TESTS=OFF -DDCHAG_ENABLE_BENCHMARKS=OFF &&
  cmake --build "$dchag_build/run" -j "$dchag_jobs" --target "$program"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  die "$program was not built: see $log"
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)} OMP_PROC_BIND=${OMP_PROC_BIND:-spread} OMP_PLACES=${OMP_PLACES:-cores}
exec "$dchag_build/run/examples/$program" "${arguments[@]}" "$@"
