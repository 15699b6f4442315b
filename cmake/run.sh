#!/usr/bin/env bash
# The main job from a fresh Debian machine: installs what is missing, builds one example in full optimization, runs it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: cmake/run.sh [hyperspectral | weather | in_situ | plan] [--ranks N] [-- argument...]
Builds and runs an example; the arguments after -- are the example's own (-- --help lists them). OMP_NUM_THREADS and
OMP_PROC_BIND are respected where set.
  hyperspectral  examples/hyperspectral_autoencoder on the Indian Pines scene (the default)
  weather        examples/weather_forecast on monthly sea-surface temperatures, 1979 to 2013
  in_situ        examples/in_situ, a solver that trains a forecaster of itself while it runs
  plan           examples/plan, what training needs before it is run: GPUs, memory, time
  --ranks N      started by mpirun on N ranks, the cores divided among them; the example's --model-ranks and
                 --shard-ranks say what they do: cmake/run.sh --ranks 4 -- --model-ranks 2 --shard-ranks 2
END
}

job=hyperspectral ranks=
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    hyperspectral | weather | in_situ | plan) job=$1 ;;
    --ranks)
      [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || { usage >&2; die "--ranks '${2:-}': give a number of ranks, 1 or more"; }
      ranks=$2
      shift
      ;;
    --) shift; break ;;
    *) usage >&2; die "unexpected '$1': the example's own arguments come after --" ;;
  esac
  shift
done

install_build_packages
mkdir -p "$dchag_cache/logs"
log=$dchag_cache/logs/run-build.log
case $job in
  hyperspectral)
    program=hyperspectral_autoencoder
    data=$(bash "$dchag_root/cmake/data.sh" | tail -n 1)
    arguments=(--data "$data")
    ;;
  weather)
    program=weather_forecast
    data=$(bash "$dchag_root/cmake/data.sh" sea_surface | tail -n 1)
    arguments=(--data "$data")
    ;;
  in_situ | plan)
    program=$job
    arguments=()
    ;;
esac

say "building $program"
prefix=$(kokkos host)
if ! { configure run "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_ENABLE_TESTS=OFF -DDCHAG_ENABLE_BENCHMARKS=OFF &&
  cmake --build "$dchag_build/run" -j "$dchag_jobs" --target "$program"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  die "$program was not built: see $log"
fi

program=$dchag_build/run/examples/$program
if [[ $ranks ]]; then
  # Threads are not bound: those of all ranks would be to the same cores.
  threads=$(($(nproc) / ranks))
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))} OMP_PROC_BIND=${OMP_PROC_BIND:-false}
  export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
  exec mpirun --oversubscribe --bind-to none -n "$ranks" "$program" "${arguments[@]}" "$@"
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)} OMP_PROC_BIND=${OMP_PROC_BIND:-spread} OMP_PLACES=${OMP_PLACES:-cores}
exec "$program" "${arguments[@]}" "$@"
