# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by the scripts beside it: where things are, and what must be installed.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

note() { printf '%s\n' "$*" >&2; }
die() {
    note "$1"
    exit "${2:-1}"
}

# Makes the compiler cache work for every build folder of this checkout.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros

# need SET…: installs the packages of packaging/packages that are missing, and says so before it does.
need() {
    local wanted=() missing=() set name package
    while read -r set package; do
        [[ $set == \#* || -z $set ]] && continue
        for name in "$@"; do
            [[ $set == "$name" ]] && wanted+=("$package")
        done
    done <packaging/packages
    for package in "${wanted[@]}"; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return 0
    note "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    local sudo=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "These packages need root: run  apt-get install ${missing[*]}  as root, then this command again."
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq >&2 || note "The package lists could not be refreshed; going on with the ones that are here."
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        die "The packages could not be installed; nothing was built. Check the network and /etc/apt/sources.list, then run this command again."
}

# configure_and_build PRESET TARGET…
configure_and_build() {
    local preset=$1
    shift
    local launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake --preset "$preset" "${launcher[@]}" "${extra_cmake[@]}" >&2
    cmake --build "build/$preset" --target "$@" >&2
}
extra_cmake=()
