#!/bin/sh
# SPDX-License-Identifier: MIT
#
# copies.sh SHARED STATIC: two copies of the library in one process keep apart.  What links
# the static one exports nothing of it, and the shared one calls its own functions whatever
# else there is by their names.
. "${0%/*}/cases.sh"

shared=$1
static=$2
work=$(fresh_dir copies)
include=$ABI_SOURCE/include

cat >"$work/uses.c" <<'END'
#include <focalghm/focalghm.h>
const char *user_version(void);
const char *user_version(void) {
    fghm_focal *focal = NULL;
    if (fghm_focal_create(&focal) != FGHM_OK) {
        return "";
    }
    fghm_focal_destroy(focal);
    return fghm_version();
}
END

# What a library of another version has of this one.
cat >"$work/other.c" <<'END'
const char *fghm_version(void);
const char *fghm_version(void) {
    return "other";
}
END

cat >"$work/plugin.c" <<'END'
const char *fghm_version(void);
const char *plugin_version(void);
const char *plugin_version(void) {
    return fghm_version();
}
END

cat >"$work/program.c" <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
const char *user_version(void);
int main(int count, char **arguments) {
    void *plugin = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    const char *(*version)(void) = NULL;
    if (plugin != NULL) {
        *(void **)&version = dlsym(plugin, "plugin_version");
    }
    if (version == NULL) {
        puts(dlerror());
        return 1;
    }
    printf("program %s, plugin %s\n", user_version(), version());
    return strcmp(version(), "other") != 0 || strcmp(user_version(), "other") == 0;
}
END

# build ARGUMENTS...
build() {
    # shellcheck disable=SC2086 # a list of flags
    "$ABI_CC" $ABI_CFLAGS -fPIC -I"$include" "$@"
}

objects_export_nothing() {
    build -shared -DFGHM_STATIC "$work/uses.c" "$static" -lm -lpthread -o "$work/user.so" &&
        ! "$ABI_NM" -D --defined-only "$work/user.so" | grep fghm_
}

# A plugin with a shared library of another version, in a program with a static copy that
# shows its functions to plugins.
plugin_has_its_own() {
    build -shared "$work/other.c" -o "$work/libother.so" &&
        build -shared "$work/plugin.c" -o "$work/plugin.so" -L"$work" -lother &&
        build -DFGHM_STATIC -rdynamic "$work/program.c" "$work/uses.c" "$static" \
            -lm -lpthread -ldl -o "$work/program" &&
        LD_LIBRARY_PATH=$work "$work/program" "$work/plugin.so"
}

calls_stay_inside() {
    ! readelf -rW "$shared" | grep fghm_
}

run_case objects_that_link_the_static_library_export_nothing objects_export_nothing
run_case plugin_has_its_own_library plugin_has_its_own
run_case calls_of_the_shared_library_stay_inside calls_stay_inside
end_cases
