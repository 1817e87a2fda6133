#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh PACKAGE...: installs the Debian packages that are missing.  Does
# nothing, and says nothing, when all are there.
set -eu

missing=
for package in "$@"; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    test "$state" = "install ok installed" || missing="$missing $package"
done
test -n "$missing" || exit 0

if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here.  Install what these Debian packages hold:$missing" >&2
    exit 1
fi

as_root=
test "$(id -u)" -eq 0 || as_root="sudo -n"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Root's environment is its own, so the setting goes along.
# shellcheck disable=SC2086 # lists of words
install_missing() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        --no-remove -o DPkg::Lock::Timeout=300 $missing >"$log" 2>&1 </dev/null
}

# The first try fails where the package lists are absent or old.
echo "Installing:$missing"
if ! install_missing; then
    $as_root apt-get update >"$log" 2>&1 </dev/null || true
    install_missing || {
        cat "$log" >&2
        echo "Could not install:$missing" >&2
        exit 1
    }
fi
