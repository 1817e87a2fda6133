#!/bin/sh
# SPDX-License-Identifier: MIT
#
# unload.sh SHARED: hosts that load plugins open and close the library again and again.  Nothing
# piles up, and closing it while a pool exists does not take the code away from the pool's threads.
. "${0%/*}/cases.sh"

shared=$1
work=$(fresh_dir unload)

cat >"$work/program.c" <<'END_OF_PROGRAM'
#include <dlfcn.h>
#include <focalghm/focalghm.h>
#include <stdio.h>
#include <string.h>

enum { N = 50000 };
static float logits[N], targets[N], gradient[N];

struct library {
    void *handle;
    fghm_status (*create)(fghm_focal **focal);
    void (*destroy)(fghm_focal *focal);
    fghm_status (*pool_create)(fghm_pool **pool, size_t threads);
    void (*pool_destroy)(fghm_pool *pool);
    fghm_status (*focal)(const fghm_focal *focal, fghm_pool *pool, size_t n, const float *logits,
                         const float *targets, const float *weights, double *loss,
                         float *element_loss, float *gradient, float *hessian);
};

static int find(void *handle, const char *name, void *function) {
    void *const address = dlsym(handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static int open_library(const char *path, struct library *l) {
    l->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return l->handle != NULL && find(l->handle, "fghm_focal_create", &l->create) &&
           find(l->handle, "fghm_focal_destroy", &l->destroy) &&
           find(l->handle, "fghm_pool_create", &l->pool_create) &&
           find(l->handle, "fghm_pool_destroy", &l->pool_destroy) &&
           find(l->handle, "fghm_focal_f32", &l->focal);
}

static int computes(const struct library *l, fghm_pool *pool) {
    fghm_focal *focal = NULL;
    double loss = 0;
    const int good = l->create(&focal) == FGHM_OK &&
                     l->focal(focal, pool, N, logits, targets, NULL, &loss, NULL, gradient, NULL) ==
                         FGHM_OK;
    l->destroy(focal);
    return good && loss > 0;
}

static long read_status(const char *field) {
    char line[256];
    long value = -1;
    FILE *const file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            sscanf(line + strlen(field), "%ld", &value);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

static int again_and_again(const char *path) {
    long kibibytes = 0;
    for (int round = 0; round < 200; round++) {
        struct library l;
        fghm_pool *pool = NULL;
        if (!open_library(path, &l) || l.pool_create(&pool, 3) != FGHM_OK || !computes(&l, pool)) {
            return 1;
        }
        l.pool_destroy(pool);
        dlclose(l.handle);
        kibibytes = round == 20 ? read_status("VmRSS:") : kibibytes;
    }
    printf("%ld threads, from %ld to %ld KiB\n", read_status("Threads:"), kibibytes,
           read_status("VmRSS:"));
    return read_status("Threads:") > 1 || read_status("VmRSS:") > kibibytes + 512;
}

static int with_a_pool(const char *path) {
    struct library l;
    fghm_pool *pool = NULL;
    if (!open_library(path, &l) || l.pool_create(&pool, 3) != FGHM_OK || !computes(&l, pool)) {
        return 1;
    }
    dlclose(l.handle);
    const int good = computes(&l, pool) && open_library(path, &l) && computes(&l, pool);
    l.pool_destroy(pool);
    return !good;
}

int main(int count, char **arguments) {
    for (int i = 0; i < N; i++) {
        targets[i] = (float)(i % 2);
    }
    return count == 3 && strcmp(arguments[1], "pool") == 0 ? with_a_pool(arguments[2])
                                                           : again_and_again(arguments[2]);
}
END_OF_PROGRAM

program_builds() {
    # shellcheck disable=SC2086 # a list of flags
    "$ABI_CC" $ABI_CFLAGS -D_GNU_SOURCE -I"$ABI_SOURCE/include" "$work/program.c" -ldl \
        -o "$work/program"
}

run_case program_builds program_builds
run_case opened_and_closed_again_and_again "$work/program" again "$shared"
run_case closed_while_a_pool_exists "$work/program" pool "$shared"
end_cases
