#!/usr/bin/env bash
# Puts the Indian Pines scene (two .npy files) into a folder and prints that folder; fetches only what is not there.
#     bash cmake/data.sh [FOLDER]        default: ${DCHAG_CACHE:-$HOME/.cache/dchag}/data/indian_pines
# Needs python3 with pip, and unzip. The scene: 145 x 145 pixels x 200 bands, uint16, and the ground truth of 16
# classes, uint8; Baumgardner, Biehl, Landgrebe 2015, doi:10.4231/R7RX991C, under CC BY 3.0. It comes out of the
# Python package tensorly, pinned by its hash.
set -euo pipefail

folder=${1:-${DCHAG_CACHE:-$HOME/.cache/dchag}/data/indian_pines}
package='tensorly==0.10.0 --hash=sha256:90becb3d28023638ec60d19fbf8d87735b4ce1537fe3eb881897d69e107b882d'
inside=tensorly/datasets/data
sums='8f038e4d81569e38ebfc72a15c9984c150de42580ab260be10a13442e912e451  Indian_pines_corrected.npy
44610d21625b311b05b8e0c4ba9a6cc755c2fbb9df48e4d89419024aa6ad3f9d  Indian_pines_gt.npy'

fail() {
    echo "data.sh: $*" >&2
    exit 1
}

# complete FOLDER: is every file of the scene there, with the bytes that it must have?
complete() {
    [[ -d $1 ]] && (cd "$1" && sha256sum --check --status <<<"$sums") 2>/dev/null
}

if ! complete "$folder"; then
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip: apt-get install python3-pip"
    command -v unzip >/dev/null || fail "unzip is not there: apt-get install unzip"
    mkdir -p "$folder" || fail "cannot make the folder $folder: give another one as the argument"
    work=$(mktemp -d "$folder/.fetch.XXXXXX") || fail "cannot write into $folder: give another folder as the argument"
    trap 'rm -rf "$work"' EXIT
    echo "$package" >"$work/requirements.txt"
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        -r "$work/requirements.txt" -d "$work" >&2 ||
        fail "could not download tensorly 0.10.0 with the pinned hash: see pip's message above"
    unzip -q -j "$work"/tensorly-*.whl "$inside/Indian_pines_corrected.npy" "$inside/Indian_pines_gt.npy" -d "$work" ||
        fail "the package does not hold the two files of the scene"
    complete "$work" || fail "the files in the package are not the expected ones (sha256 differs)"
    mv -f "$work"/Indian_pines_*.npy "$folder/"
fi
echo "$folder"
