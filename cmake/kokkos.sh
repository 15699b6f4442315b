#!/usr/bin/env bash
# Obtains Kokkos and Kokkos Kernels: source packages pinned by hash, built once for this machine and compiler, installed
# in ${DCHAG_CACHE:-~/.cache/dchag}. The last line of standard output is the prefix to hand to CMake.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: cmake/kokkos.sh [host|host-4.7|cuda|hip]
  host      Kokkos 4.5.01 with Serial, OpenMP and OpenBLAS (default); compiled by $CXX or g++
  host-4.7  the same with Kokkos 4.7.00
  cuda      Kokkos 4.5.01 with Serial and CUDA for sm_90; nvcc from $CUDA_ROOT, PATH or /usr/local/cuda
  hip       Kokkos 4.5.01 with Serial and HIP for gfx90a; hipcc from PATH
Prints the prefix of the installation. What is there already is used again.
END
}

(($# <= 1)) || { usage >&2; die "one flavour at a time, got: $*"; }
flavour=${1:-host}
case $flavour in
  -h | --help) usage; exit 0 ;;
  host | host-4.7 | cuda | hip) ;;
  *) usage >&2; die "unknown flavour '$flavour'" ;;
esac

version=4.5.01
package=pycompadre-1.7.6
digest=c766ec4d445ce076069be4b8c51a23ffac4ee79ea949ca86446bfd8c299b154c
source_folder=.
if [[ $flavour == host-4.7 ]]; then
  version=4.7.00
  package=pygenten-0.1.5
  digest=e620f05c742905e2db705d875f1cac92ef0ed453f9e6734e9beda26cc0f9cce7
  source_folder=tpls
fi

# Only the BLAS component, and no instantiation ahead of use: what dchag calls goes to the vendor's BLAS all the same.
kokkos_options=(-DKokkos_ENABLE_SERIAL=ON)
kernels_options=(-DKokkosKernels_ENABLE_ALL_COMPONENTS=OFF -DKokkosKernels_ENABLE_COMPONENT_BLAS=ON
                 -DKokkosKernels_ADD_DEFAULT_ETI=OFF -DKokkosKernels_ENABLE_TPL_LAPACK=OFF)
both_options=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_EXTENSIONS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON)
machine=
case $flavour in
  host | host-4.7)
    compiler=$(command -v "${CXX:-g++}") || die "no C++ compiler: apt-get install g++"
    compiler_version=$("$(realpath "$compiler")" --version)
    machine=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo || uname -m)
    kokkos_options+=(-DKokkos_ENABLE_OPENMP=ON -DKokkos_ARCH_NATIVE=ON -DKokkos_ENABLE_DEPRECATED_CODE_4=OFF)
    kernels_options+=(-DKokkosKernels_ENABLE_TPL_BLAS=ON -DBLA_VENDOR=OpenBLAS
                      '-DF77_BLAS_MANGLE=(name,NAME) name ## _')
    both_options+=(-DCMAKE_CXX_STANDARD=20)
    ;;
  cuda)
    CUDA_ROOT=${CUDA_ROOT:-$(dirname "$(dirname "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")}
    export CUDA_ROOT PATH=$CUDA_ROOT/bin:$PATH
    [[ -x $CUDA_ROOT/bin/nvcc ]] || die "nvcc not found: install the CUDA toolkit and set CUDA_ROOT to its folder"
    compiler=nvcc_wrapper
    compat=$(dirname "${BASH_SOURCE[0]}")/cuda13_compat.h
    compiler_version=$("$CUDA_ROOT/bin/nvcc" --version
                       "${NVCC_WRAPPER_DEFAULT_COMPILER:-g++}" --version
                       cat "$compat")
    kokkos_options+=(-DKokkos_ENABLE_CUDA=ON -DKokkos_ARCH_HOPPER90=ON)
    kernels_options+=(-DKokkosKernels_INST_EXECSPACE_CUDA=OFF -DKokkosKernels_INST_MEMSPACE_CUDASPACE=OFF
                      -DKokkosKernels_ENABLE_TPL_BLAS=OFF -DKokkosKernels_ENABLE_TPL_CUBLAS=ON
                      -DKokkosKernels_ENABLE_TPL_CUSPARSE=OFF -DKokkosKernels_ENABLE_TPL_CUSOLVER=OFF
                      "-DCUDAToolkit_ROOT=$CUDA_ROOT")
    both_options+=(-DCMAKE_CXX_STANDARD=20)
    ;;
  hip)
    compiler=$(command -v hipcc) || die "hipcc not found: apt-get install hipcc"
    export HCC_AMDGPU_TARGET=gfx90a # else hipcc looks for a device
    compiler_version=$("$compiler" --version 2>/dev/null)
    kokkos_options+=(-DKokkos_ENABLE_HIP=ON -DKokkos_ARCH_AMD_GFX90A=ON -DKokkos_ENABLE_ROCTHRUST=OFF
                     -DKokkos_ENABLE_DEPRECATED_CODE_4=OFF)
    kernels_options+=(-DKokkosKernels_ENABLE_TPL_BLAS=OFF -DKokkosKernels_ENABLE_TPL_ROCBLAS=OFF
                      -DKokkosKernels_ENABLE_TPL_ROCSPARSE=OFF -DKokkosKernels_ENABLE_TPL_ROCSOLVER=OFF)
    both_options+=(-DCMAKE_CXX_STANDARD=17) # hipcc 5.2 cannot compile <regex>, which Kokkos includes, as C++20
    ;;
esac

key=$(printf '%s\n' "$digest" "$compiler_version" "$machine" "${both_options[@]}" "${kokkos_options[@]}" \
  "${kernels_options[@]}" | sha256sum | cut -c1-12)
prefix=$dchag_cache/kokkos/$version-$flavour-$key
stamp=$prefix/.complete
log=$dchag_cache/logs/kokkos-$version-$flavour-$key.log

finish() { printf '%s\n' "$prefix"; exit 0; }
[[ ! -e $stamp ]] || finish

for tool in cmake ninja python3 flock; do
  command -v "$tool" >/dev/null || die "$tool not found: apt-get install cmake ninja-build python3-pip util-linux"
done
mkdir -p "$dchag_cache"/{kokkos,downloads,logs}
exec 9>"$prefix.lock"
flock -n 9 || { say "another process builds Kokkos $version ($flavour): waiting for it"; flock 9; }
[[ ! -e $stamp ]] || finish

# A prefix without its stamp is what an interrupted run left: nobody uses it, and it goes.
work=$dchag_cache/kokkos/.build-$version-$flavour-$key
clean_up() {
  rm -rf "$work"
  [[ -e $stamp ]] || rm -rf "$prefix"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
rm -rf "$prefix" "$work"
mkdir "$work"

# The package's own metadata step needs its build requirements; they are fetched for it unless they are installed.
download() {
  local archive=$dchag_cache/downloads/$package.tar.gz name=${package%-*} python=python3 isolation=()
  if sha256sum --check --status <<<"$digest  $archive" 2>/dev/null; then return; fi
  if ! python3 -m pip --version >/dev/null 2>&1; then
    python3 -m venv "$work/venv" || die "pip not found: apt-get install python3-pip"
    python=$work/venv/bin/python
  fi
  if [[ $name == pycompadre ]] && "$python" -c 'import setuptools, packaging' 2>/dev/null; then
    isolation=(--no-build-isolation)
  fi
  echo "$name==${package##*-} --hash=sha256:$digest" >"$work/requirements.txt"
  "$python" -m pip download -q --no-deps --no-binary "$name" "${isolation[@]}" --require-hashes \
    -r "$work/requirements.txt" -d "$work/download"
  mv "$work/download/$package.tar.gz" "$archive"
}

build() {
  local name=$1
  shift
  say "building $name" 2>&3
  cmake -S "$work/source/$name" -B "$work/$name" -G Ninja "-DCMAKE_CXX_COMPILER=$compiler" \
    "-DCMAKE_INSTALL_PREFIX=$prefix" -DCMAKE_INSTALL_LIBDIR=lib "-DCMAKE_PREFIX_PATH=$prefix" "${both_options[@]}" "$@"
  cmake --build "$work/$name" -j "$dchag_jobs"
  cmake --install "$work/$name"
}

obtain() {
  say "Kokkos $version ($flavour): fetching the source" 2>&3
  download
  mkdir "$work/source"
  tar -xzf "$dchag_cache/downloads/$package.tar.gz" -C "$work/source" --strip-components=1
  if [[ $source_folder != . ]]; then mv "$work/source/$source_folder"/kokkos* "$work/source/"; fi
  if [[ $flavour == cuda ]]; then
    compiler=$prefix/bin/nvcc_wrapper
    mkdir -p "$prefix/bin" "$prefix/include"
    cp "$work/source/kokkos/bin/nvcc_wrapper" "$compiler"
    cp "$compat" "$prefix/include/dchag_cuda13_compat.h"
    both_options+=("-DCMAKE_CXX_FLAGS=-arch=sm_90 -include $prefix/include/dchag_cuda13_compat.h")
  fi
  build kokkos "${kokkos_options[@]}"
  build kokkos-kernels "${kernels_options[@]}"
}

exec 3>&2
set +e # bash ignores errexit inside a condition, so the status is taken first
(set -e; obtain) >"$log" 2>&1
status=$?
set -e
if ((status)); then
  tail -n 30 "$log" >&2
  die "Kokkos $version ($flavour) was not built: see $log"
fi
touch "$stamp"
finish
