#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian_folder.sh OUT: makes the folder debian of this source tree as OUT, from the templates in
# cmake/packaging/debian.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/cmake/packaging/common.sh"

date=$(date_of_source +'%a, %d %b %Y %H:%M:%S +0000')
templates=$source/cmake/packaging/debian
(cd "$templates" && find . -type f) | while read -r file; do
    # What the library's package has is named after the package.
    target=$1/$(echo "${file%.in}" | sed "s/library\./libfocalghm$soversion./")
    mkdir -p "$(dirname "$target")"
    fill_in "$templates/$file" "$date" >"$target"
done
chmod +x "$1/rules"

# dpkg's list of symbols is that of the project.  While MAJOR is 0 all have the node of this MINOR,
# and from 1.0 on that of the release that had them first.
{
    echo "libfocalghm.so.$soversion libfocalghm$soversion #MINVER#"
    echo "* Build-Depends-Package: libfocalghm-dev"
    awk -v minor="${version%.*}" '
        function node(since) { return minor ~ /^0\./ ? minor : since ~ /^0\./ ? "1.0" : since }
        { nodes[node($2)]; print " " $1 "@FOCALGHM_" node($2) " " node($2) ".0" }
        END { for (n in nodes) print " FOCALGHM_" n "@FOCALGHM_" n " " n ".0" }
    ' "$source/cmake/symbols.txt" | sort
} >"$1/libfocalghm$soversion.symbols"
