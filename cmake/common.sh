# Sourced by the scripts beside it: where things are, how they speak, and what a Debian machine has to have.
set -euo pipefail

dchag_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dchag_cache=$(realpath -m "${DCHAG_CACHE:-${HOME:?set HOME or DCHAG_CACHE}/.cache/dchag}")
dchag_build=$dchag_root/build
dchag_jobs=${DCHAG_JOBS:-$(nproc)}

# A checkout in another folder finds what this one compiled; precompiled headers need the two sloppinesses.
export CCACHE_DIR=${CCACHE_DIR:-$dchag_cache/ccache} CCACHE_BASEDIR=$dchag_root CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'dchag: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root or sudo to run: $*"
  fi
}

# Installs those of the named Debian packages that are missing; refreshes the package lists only if it must.
install_packages() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "apt-get not found: install the equivalents of ${missing[*]}"
  say "installing ${missing[*]}"
  mkdir -p "$dchag_cache/logs"
  local log=$dchag_cache/logs/packages.log
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
  if ! as_root "${install[@]}" </dev/null >"$log" 2>&1; then
    if ! { as_root apt-get update && as_root "${install[@]}"; } </dev/null >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      die "apt-get install ${missing[*]} failed: see $log"
    fi
  fi
}

# What every build of this project needs; ranks are started by openmpi-bin, sources come through pip.
install_build_packages() {
  local packages=(cmake ninja-build g++ ccache libopenblas-openmp-dev libopenmpi-dev openmpi-bin libpng-dev
                  libnetcdf-dev libcli11-dev nlohmann-json3-dev)
  python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
  install_packages "${packages[@]}"
}

install_test_packages() {
  install_build_packages
  install_packages doctest-dev libbenchmark-dev libgdal-dev
}

# kokkos FLAVOUR prints the prefix of an installation, built if need be.
kokkos() { bash "$dchag_root/cmake/kokkos.sh" "$1" | tail -n 1; }

# configure_project SOURCE FOLDER [cmake argument...] configures $dchag_build/FOLDER with Ninja, optimized, through ccache.
configure_project() {
  local source=$1 folder=$dchag_build/$2
  shift 2
  cmake -S "$source" -B "$folder" -G Ninja -Wno-dev -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "$@"
}

configure() { configure_project "$dchag_root" "$@"; }
