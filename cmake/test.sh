#!/usr/bin/env bash
# One command from a fresh Debian machine to tested code: installs what is missing, builds, tests.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: cmake/test.sh [--unit] [--sanitize] [--portability]
  --unit         all tests under OpenMP; examples and benchmarks (built only)
  --sanitize     all tests under Serial, with the address and undefined-behaviour sanitizers
  --portability  tests with Kokkos 4.7; everything compiled and linked for CUDA and HIP (run too on such a device)
With no option: --unit --sanitize, so that all tests run under both execution spaces.
Builds are kept in build/, and Kokkos in ${DCHAG_CACHE:-~/.cache/dchag}.
DCHAG_JOBS sets the number of compilers and tests at a time (default: the number of cores).
END
}

parts=()
while (($#)); do
  case $1 in
    --unit | --sanitize | --portability) parts+=("${1#--}") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown option '$1'" ;;
  esac
  shift
done
((${#parts[@]})) || parts=(unit sanitize)

build_and_test() {
  local folder=$1
  shift
  say "$folder: building"
  configure "$folder" "$@"
  cmake --build "$dchag_build/$folder" -j "$dchag_jobs"
  say "$folder: testing"
  ctest --test-dir "$dchag_build/$folder" -j "$dchag_jobs" --output-on-failure --no-tests=error
}

test_unit() {
  local prefix
  prefix=$(kokkos host)
  build_and_test release "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_TEST_SPACES=OpenMP
}

# A configuration that tests are repeated under: one number of ranks is enough.
few_ranks=(-DDCHAG_TEST_RANKS=2 -DDCHAG_TEST_RANKS_channels=2 -DDCHAG_TEST_RANKS_models=2)

test_sanitize() {
  local prefix
  prefix=$(kokkos host)
  # g++ 12's stack of detect_stack_use_after_return is not aligned for vector registers.
  export ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
  build_and_test sanitize "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_ENABLE_SANITIZERS=ON -DDCHAG_TEST_SPACES=Serial \
    "${few_ranks[@]}" -DDCHAG_ENABLE_EXAMPLES=OFF -DDCHAG_ENABLE_BENCHMARKS=OFF "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -g1"
}

# compile_for FLAVOUR DEVICE [cmake argument...] builds the programs of tests/portability, and runs them where DEVICE exists.
compile_for() {
  local folder=$1 device=$2
  shift 2
  say "$folder: compiling and linking"
  configure_project "$dchag_root/tests/portability" "$folder" "$@"
  cmake --build "$dchag_build/$folder" -j "$dchag_jobs"
  if [[ -e $device ]]; then
    ctest --test-dir "$dchag_build/$folder" --output-on-failure --no-tests=error
  else
    say "$folder: compiled and linked; not run, since there is no $device"
  fi
}

test_portability() {
  local prefix
  prefix=$(kokkos host-4.7)
  build_and_test kokkos-4.7 "-DCMAKE_PREFIX_PATH=$prefix" -DDCHAG_TEST_SPACES=OpenMP \
    "${few_ranks[@]}" -DDCHAG_ENABLE_EXAMPLES=OFF -DDCHAG_ENABLE_BENCHMARKS=OFF

  if (install_packages hipcc); then
    export HCC_AMDGPU_TARGET=gfx90a
    prefix=$(kokkos hip)
    compile_for hip /dev/kfd -DCMAKE_CXX_COMPILER=hipcc "-DCMAKE_PREFIX_PATH=$prefix"
  else
    say "hip: skipped, since hipcc could not be installed"
  fi

  export CUDA_ROOT=${CUDA_ROOT:-/usr/local/cuda}
  if [[ -x $CUDA_ROOT/bin/nvcc ]]; then
    prefix=$(kokkos cuda)
    compile_for cuda /dev/nvidiactl -DCMAKE_CXX_COMPILER_LAUNCHER= "-DCMAKE_CXX_COMPILER=$prefix/bin/nvcc_wrapper" \
      "-DCMAKE_PREFIX_PATH=$prefix" "-DCMAKE_CXX_FLAGS=-arch=sm_90 -include $prefix/include/dchag_cuda13_compat.h"
  else
    say "cuda: skipped, since there is no $CUDA_ROOT/bin/nvcc (set CUDA_ROOT)"
  fi
}

install_test_packages
for part in "${parts[@]}"; do "test_$part"; done
say "passed: ${parts[*]}"
