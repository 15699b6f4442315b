#!/usr/bin/env bash
# The benchmarks from a fresh Debian machine: installs what is missing, builds them in full optimization, prints tables.
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/common.sh"

usage() {
  cat <<'END'
usage: benchmarks/run.sh [--peers] [--check] [--scaling] [-- argument...]
Times a step of each case of the library (benchmarks/compare.py --help names the cases and takes what stands after --).
  --peers   beside PyTorch (eager and compiled) and JAX, the published model and one folded by hand; both are installed
            in a virtual environment in ${DCHAG_CACHE:-~/.cache/dchag} (6 GB). About half an hour
  --scaling instead: how the front end grows with channels, rows and ranks, to build/benchmarks/scaling.{jsonl,png}
  --check   no timing: do the peers' losses and gradients agree with the library's golden files?
Tables are printed; build/benchmarks/ gets comparison.json, with every step's time, and with --peers comparison.png.
END
}

peers=() check= scaling=
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --peers) peers=(--peers) ;;
    --check) check=1 ;;
    --scaling) scaling=1 ;;
    --) shift; break ;;
    *) usage >&2; die "unexpected '$1': arguments of compare.py come after --" ;;
  esac
  shift
done

folder=$dchag_root/benchmarks

# Prints the Python of the peers' virtual environment, made if need be.
peers_python() {
  local wanted=$folder/peers/requirements.txt key prefix log
  key=$({ cat "$wanted"; python3 --version; } | sha256sum | cut -c1-12)
  prefix=$dchag_cache/peers/$key
  if [[ ! -e $prefix/.complete ]]; then
    install_packages python3-venv python3-dev g++ # torch.compile compiles C++ against Python
    say "installing PyTorch and JAX in $prefix"
    mkdir -p "$dchag_cache/peers" "$dchag_cache/logs"
    rm -rf "$prefix"
    log=$dchag_cache/logs/peers.log
    if ! { python3 -m venv "$prefix" && "$prefix/bin/python" -m pip install -r "$wanted"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      die "the peers were not installed: see $log"
    fi
    touch "$prefix/.complete"
  fi
  printf '%s\n' "$prefix/bin/python"
}

python=python3
if ((${#peers[@]})) || [[ $check ]]; then python=$(peers_python); fi
if [[ $check ]]; then
  "$python" "$folder/peers/check.py" "$dchag_root/tests/conformance/goldens"
  for case in flat_2 dchag_linear_2 dchag_cross_2; do "$python" "$folder/peers/torch_ranks.py" "$case" --check; done
  exit
fi

install_build_packages
install_packages libbenchmark-dev
target=benchmark_cases
if [[ $scaling ]]; then target=benchmark_scaling; fi
say "building the benchmarks"
prefix=$(kokkos host)
log=$dchag_cache/logs/benchmarks-build.log
mkdir -p "$dchag_cache/logs"
if ! { configure benchmarks "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_ENABLE_TESTS=OFF -DDCHAG_ENABLE_EXAMPLES=OFF &&
  cmake --build "$dchag_build/benchmarks" -j "$dchag_jobs" --target "$target"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  die "the benchmarks were not built: see $log"
fi

if [[ $scaling ]]; then
  install_packages python3-matplotlib # of /usr/bin/python3
  results=$dchag_build/benchmarks/scaling
  for ranks in 1 2 4 8; do
    say "scaling on $ranks ranks of one thread"
    OMP_NUM_THREADS=1 OMP_PROC_BIND=false OMP_WAIT_POLICY=passive mpirun --oversubscribe --bind-to none -n "$ranks" \
      "$dchag_build/benchmarks/benchmarks/benchmark_scaling"
  done >"$results.jsonl"
  say "writing $results.png"
  exec /usr/bin/python3 "$folder/scaling_plot.py" "$results.jsonl" "$results.png"
fi

results=$dchag_build/benchmarks/comparison
arguments=(--own "$dchag_build/benchmarks/benchmarks/benchmark_cases" --json "$results.json")
if ((${#peers[@]})); then arguments+=(--plot "$results.png"); fi
say "writing $results.json"
exec "$python" "$folder/compare.py" "${arguments[@]}" "${peers[@]}" "$@"
