/* SPDX-License-Identifier: MIT */

/* Memory that cannot be had, and memory that is not asked for.  The program is
 * linked with --wrap for the allocation functions below: each call of the
 * library goes through here, is counted, and fails where a test says so. */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/batch.h"
#include "support/descriptor.h"
#include "support/functions.h"
#include "support/suite.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
void __real_free(void *block);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
void __wrap_free(void *block);

/* Every thread is watched, also those that a pool makes. */
static struct {
    atomic_int watching;
    atomic_long asked;   /* allocations asked for while watching */
    atomic_long fail_at; /* the one that fails, from 1; 0: none */
    atomic_long balance; /* blocks handed out and not yet freed */
    atomic_long freed;
    atomic_size_t bytes; /* of what was asked for */
} heap;

/* What errno is before a call, and has to be after it. */
#define ERRNO 4711

static void watch(long fail_at) {
    heap.asked = 0;
    heap.balance = 0;
    heap.freed = 0;
    heap.bytes = 0;
    heap.fail_at = fail_at;
    heap.watching = 1;
    errno = ERRNO;
}

/* The number of allocations asked for.  What was watched has left errno as it was. */
static long unwatch(void) {
    const int errno_now = errno;
    heap.watching = 0;
    assert_int_equal(errno_now, ERRNO);
    return heap.asked;
}

/* Memory that is given sets errno as well: a C library may try this and that. */
static int must_fail(size_t bytes) {
    if (!heap.watching) {
        return 0;
    }
    errno = ENOMEM;
    heap.bytes += bytes;
    return atomic_fetch_add(&heap.asked, 1) + 1 == heap.fail_at;
}

static void *handed_out(void *block) {
    if (heap.watching && block != NULL) {
        heap.balance++;
    }
    return block;
}

void *__wrap_malloc(size_t size) {
    return must_fail(size) ? NULL : handed_out(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size) {
    return must_fail(n * size) ? NULL : handed_out(__real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t size) {
    if (block == NULL) {
        return __wrap_malloc(size);
    }
    return must_fail(size) ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return must_fail(size) ? NULL : handed_out(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size) {
    int result = must_fail(size) ? ENOMEM : __real_posix_memalign(block, alignment, size);
    if (heap.watching && result == 0) {
        heap.balance++;
    }
    return result;
}

void __wrap_free(void *block) {
    if (heap.watching && block != NULL) {
        heap.balance--;
        heap.freed++;
    }
    __real_free(block);
    if (heap.watching) {
        errno = EINVAL; /* as some C libraries do when they give memory back */
    }
}

/* More than any of the functions will need. */
#define MOST 100

/* -------------------------------------------------------------------------
 * create: every kind of handle in one table. */

static fghm_status focal_create(void **handle) {
    fghm_focal *own = *handle;
    fghm_status status = fghm_focal_create(&own);
    *handle = own;
    return status;
}

static fghm_focal *original; /* of the clones */

static fghm_status focal_clone(void **handle) {
    fghm_focal *own = *handle;
    fghm_status status = fghm_focal_clone(original, &own);
    *handle = own;
    return status;
}

static void focal_destroy(void *handle) {
    fghm_focal_destroy(handle);
}

static fghm_status ghm_create(void **handle) {
    fghm_ghm *own = *handle;
    fghm_status status = fghm_ghm_create(&own, FGHM_GHM_CLASSIFICATION);
    *handle = own;
    return status;
}

static void ghm_destroy(void *handle) {
    fghm_ghm_destroy(handle);
}

static fghm_status serial_pool_create(void **handle) {
    fghm_pool *own = *handle;
    fghm_status status = fghm_pool_create(&own, 1);
    *handle = own;
    return status;
}

static fghm_status pool_create(void **handle) {
    fghm_pool *own = *handle;
    fghm_status status = fghm_pool_create(&own, 3);
    *handle = own;
    return status;
}

static void pool_destroy(void *handle) {
    fghm_pool_destroy(handle);
}

static const struct kind {
    const char *name;
    fghm_status (*create)(void **handle);
    void (*destroy)(void *handle);
} kinds[] = {
    {"focal", focal_create, focal_destroy},   {"clone of focal", focal_clone, focal_destroy},
    {"ghm", ghm_create, ghm_destroy},         {"pool of 1", serial_pool_create, pool_destroy},
    {"pool of 3", pool_create, pool_destroy},
};

/* With the k-th allocation failing, until there is no k-th one. */
static void check_create(const struct kind *kind) {
    for (long k = 1; k < MOST; k++) {
        char there;
        void *handle = &there;
        fghm_status status;
        long asked;
        watch(k);
        status = kind->create(&handle);
        asked = unwatch();
        if (asked < k) {
            assert_int_equal(status, FGHM_OK);
            assert_true(k > 1); /* something must have been allocated */
            kind->destroy(handle);
            return;
        }
        if (status != FGHM_ERROR_MEMORY || handle != (void *)&there || heap.balance != 0) {
            fail_msg("%s, allocation %ld fails: status %d, handle %s, %ld blocks left", kind->name,
                     k, (int)status, handle == (void *)&there ? "kept" : "changed", heap.balance);
        }
    }
    fail_msg("%s: more than %d allocations", kind->name, MOST);
}

static void create_without_memory(void **state) {
    (void)state;
    fghm_isa_name(); /* whatever is set up once is set up */
    original = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    for (size_t i = 0; i < SUITE_COUNT(kinds); i++) {
        check_create(&kinds[i]);
    }
    fghm_focal_destroy(original);
}

/* create and destroy return what they took. */
static void destroy_frees_everything(void **state) {
    (void)state;
    original = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    for (size_t i = 0; i < SUITE_COUNT(kinds); i++) {
        void *handle = NULL;
        fghm_status status;
        watch(0);
        status = kinds[i].create(&handle);
        kinds[i].destroy(handle);
        unwatch();
        assert_int_equal(status, FGHM_OK);
        assert_int_equal(heap.balance, 0);
    }
    fghm_focal_destroy(original);
}

static void refused_arguments_allocate_nothing(void **state) {
    fghm_pool *pool = NULL;
    (void)state;
    watch(0);
    fghm_focal_create(NULL);
    fghm_focal_clone(NULL, &original);
    fghm_ghm_create(NULL, FGHM_GHM_CLASSIFICATION);
    fghm_pool_create(NULL, 1);
    fghm_pool_create(&pool, FGHM_THREADS_MAX + 1);
    fghm_status_string(-4);
    fghm_version();
    assert_int_equal(unwatch(), 0);
    assert_null(pool);
}

/* -------------------------------------------------------------------------
 * set_bins */

struct content {
    size_t bins;
    uint64_t counts[17];
    double weights[16];
    double edges[17];
};

static struct content content_of(const fghm_ghm *ghm) {
    struct content c;
    memset(&c, 0, sizeof c);
    assert_int_equal(fghm_ghm_get_bins(ghm, &c.bins), FGHM_OK);
    assert_int_equal(fghm_ghm_get_counts(ghm, 17, c.counts), FGHM_OK);
    assert_int_equal(fghm_ghm_get_weights(ghm, 16, c.weights), FGHM_OK);
    assert_int_equal(fghm_ghm_get_edges(ghm, 17, c.edges), FGHM_OK);
    return c;
}

static struct batch small_batch(const struct dtype *d, size_t n) {
    struct batch b = batch_new(d, n);
    struct random r = random_for(1);
    for (size_t i = 0; i < n; i++) {
        double t = i % 3 ? (double)(i % 2) : random_uniform(&r, 0.0, 1.0);
        batch_put(&b, i, 4.0 * random_normal(&r), t);
    }
    return b;
}

/* Bins, edges, counts and weights as they were, and the handle still works. */
static void set_bins_without_memory(void **state) {
    const size_t to[] = {FGHM_BINS_MAX, 1, 10, 11};
    struct batch b = small_batch(&dtypes[0], 100);
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(to); i++) {
        fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
        long k = 0, asked = 0;
        do {
            struct content before, after;
            fghm_status status;
            assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
            assert_int_equal(fghm_ghm_reset(ghm), FGHM_OK);
            before = content_of(ghm);
            assert_true(++k < MOST);
            watch(k);
            status = fghm_ghm_set_bins(ghm, to[i]);
            asked = unwatch();
            assert_int_equal(status, asked < k ? FGHM_OK : FGHM_ERROR_MEMORY);
            if (asked >= k) {
                after = content_of(ghm);
                assert_memory_equal(&before, &after, sizeof before);
                assert_int_equal(heap.balance, 0);
            }
        } while (asked >= k);
        assert_int_equal(batch_ghm(&b, ghm, NULL), FGHM_OK);
        fghm_ghm_destroy(ghm);
    }
    batch_free(&b);
}

/* Everything else that takes memory, on a handle with a history --------------------- */

enum { SAMPLES = 20, CLASSES = 200, DENSITY_BINS = 50 };

static float inputs[SAMPLES * CLASSES], targets[SAMPLES * CLASSES], outputs[SAMPLES * CLASSES];
static uint64_t counted[CLASSES * (DENSITY_BINS + 1)];
static struct {
    size_t size;
    unsigned char bytes[4096];
} state_of_others;

static fghm_status set_edges(fghm_ghm *ghm) {
    const double edges[] = {0.0, 0.3, 0.9, 1.0};
    return fghm_ghm_set_edges(ghm, 3, edges);
}

static fghm_status set_mu(fghm_ghm *ghm) {
    return fghm_ghm_set_mu(ghm, 0.5);
}

static fghm_status set_histograms(fghm_ghm *ghm) {
    return fghm_ghm_set_histograms(ghm, 5);
}

static fghm_status load(fghm_ghm *ghm) {
    return fghm_ghm_load(ghm, state_of_others.size, state_of_others.bytes);
}

static fghm_status create_from_state(fghm_ghm *ghm) {
    fghm_ghm *made = NULL;
    const fghm_status status =
        fghm_ghm_create_from_state(&made, state_of_others.size, state_of_others.bytes);
    (void)ghm;
    fghm_ghm_destroy(made);
    return status;
}

static fghm_status clone(fghm_ghm *ghm) {
    fghm_ghm *copy = NULL;
    const fghm_status status = fghm_ghm_clone(ghm, &copy);
    fghm_ghm_destroy(copy);
    return status;
}

static fghm_status density(fghm_ghm *ghm) {
    return fghm_ghm_density_f32(ghm, NULL, SAMPLES * CLASSES, inputs, targets, NULL, outputs);
}

/* More counts than a call has room for on its stack. */
static fghm_batch many_classes(void) {
    fghm_batch batch = descriptor_of(SAMPLES, CLASSES, 1);
    batch.logits = (fghm_input){.data = inputs, .dtype = FGHM_F32};
    batch.targets = (fghm_input){.data = targets, .dtype = FGHM_F32};
    batch.gradient = (fghm_output){.data = outputs, .dtype = FGHM_F32};
    return batch;
}

static fghm_status count(fghm_ghm *ghm) {
    const fghm_batch batch = many_classes();
    return fghm_ghm_count_batch(ghm, NULL, &batch, CLASSES * (DENSITY_BINS + 1), counted, NULL);
}

static fghm_status step(fghm_ghm *ghm) {
    const fghm_batch batch = many_classes();
    return fghm_ghm_step_batch(ghm, NULL, &batch, NULL);
}

static const struct operation {
    const char *name;
    fghm_ghm_kind kind;
    size_t histograms;
    bool has_history; /* which setters would refuse to forget */
    fghm_status (*run)(fghm_ghm *ghm);
} operations[] = {
    {"set_edges", FGHM_GHM_CLASSIFICATION, 1, false, set_edges},
    {"set_mu", FGHM_GHM_REGRESSION, 1, false, set_mu},
    {"set_histograms", FGHM_GHM_CLASSIFICATION, 2, false, set_histograms},
    {"load", FGHM_GHM_CLASSIFICATION, 1, true, load},
    {"create_from_state", FGHM_GHM_CLASSIFICATION, 1, true, create_from_state},
    {"clone", FGHM_GHM_CLASSIFICATION, 3, true, clone},
    {"density", FGHM_GHM_CLASSIFICATION, 1, true, density},
    {"count", FGHM_GHM_CLASSIFICATION, CLASSES, true, count},
    {"step", FGHM_GHM_CLASSIFICATION, CLASSES, true, step},
};

static fghm_ghm *handle_for(const struct operation *operation) {
    fghm_ghm *const ghm = operation->kind == FGHM_GHM_REGRESSION
                              ? ghmr_handle(DENSITY_BINS, FGHM_REDUCTION_MEAN)
                              : ghmc_handle(DENSITY_BINS, FGHM_REDUCTION_MEAN);
    assert_int_equal(fghm_ghm_set_histograms(ghm, operation->histograms), FGHM_OK);
    if (operation->has_history) {
        memset(counted, 0, sizeof counted);
        for (size_t i = 0; i < operation->histograms * (DENSITY_BINS + 1); i++) {
            counted[i] = i % 5;
        }
        assert_int_equal(fghm_ghm_update(ghm, SUITE_COUNT(counted), counted), FGHM_OK);
    }
    memset(counted, 0, sizeof counted);
    return ghm;
}

static void assert_nothing_written(void) {
    for (size_t i = 0; i < SUITE_COUNT(outputs); i++) {
        assert_true(outputs[i] == 77.0f);
    }
    for (size_t i = 0; i < SUITE_COUNT(counted); i++) {
        assert_int_equal(counted[i], 0);
    }
}

static void operation_without_memory(const struct operation *operation) {
    static unsigned char before[1 << 18], after[1 << 18];
    fghm_ghm *const ghm = handle_for(operation);
    size_t size = 0;
    long k = 0, asked;
    assert_int_equal(fghm_ghm_get_state_size(ghm, &size), FGHM_OK);
    assert_int_equal(fghm_ghm_save(ghm, sizeof before, before), FGHM_OK);
    do {
        assert_true(++k < MOST);
        for (size_t i = 0; i < SUITE_COUNT(outputs); i++) {
            outputs[i] = 77.0f;
        }
        watch(k);
        const fghm_status status = operation->run(ghm);
        asked = unwatch();
        if (status != (asked < k ? FGHM_OK : FGHM_ERROR_MEMORY)) {
            fail_msg("%s, allocation %ld fails: status %d", operation->name, k, (int)status);
        }
        if (asked >= k) {
            assert_int_equal(heap.balance, 0);
            assert_int_equal(fghm_ghm_save(ghm, sizeof after, after), FGHM_OK);
            assert_memory_equal(before, after, size);
            assert_nothing_written();
        }
    } while (asked >= k);
    assert_true(k > 1);
    fghm_ghm_destroy(ghm);
}

static void operations_without_memory(void **state) {
    struct random r = random_for(2);
    fghm_ghm *const other = ghmc_handle(7, FGHM_REDUCTION_SUM);
    (void)state;
    for (size_t i = 0; i < SUITE_COUNT(inputs); i++) {
        inputs[i] = (float)random_normal(&r);
        targets[i] = (float)(i % 2);
    }
    assert_int_equal(fghm_ghm_get_state_size(other, &state_of_others.size), FGHM_OK);
    assert_int_equal(fghm_ghm_save(other, sizeof state_of_others.bytes, state_of_others.bytes),
                     FGHM_OK);
    fghm_ghm_destroy(other);
    for (size_t i = 0; i < SUITE_COUNT(operations); i++) {
        operation_without_memory(&operations[i]);
    }
}

/* Those that make, set or load a handle or a pool, or sort; and, with counts that have no room on
 * the stack, those that count elements. */
static bool may_allocate(const char *name, size_t bins) {
    const char *const always[] = {"_create",    "_clone",          "_load",   "_set_bins",
                                  "_set_edges", "_set_histograms", "_set_mu", "_density_"};
    const char *const with_many_bins[] = {"fghm_ghm_step_", "fghm_ghm_count_"};
    bool may = false;
    for (size_t i = 0; i < SUITE_COUNT(always); i++) {
        may = may || strstr(name, always[i]) != NULL;
    }
    for (size_t i = 0; i < SUITE_COUNT(with_many_bins) && bins == FUNCTION_MANY_BINS; i++) {
        may = may || strstr(name, with_many_bins[i]) != NULL;
    }
    return may;
}

/* One call whose k-th allocation fails.  Whether there was a k-th one. */
static bool call_without_memory(const struct function *f, size_t bins, long k) {
    struct world *const w = world_new(bins);
    struct world_copy *const before = world_keep(w);
    void *p[FUNCTION_POINTERS];
    world_pointers(w, f, 0, p);
    watch(k);
    const fghm_status status = f->call(p);
    if (status == FGHM_OK) {
        world_destroy_place(w, f);
    }
    const long asked = unwatch();
    if (status != (asked < k ? FGHM_OK : FGHM_ERROR_MEMORY) || heap.balance != 0) {
        fail_msg("%s, %zu bins, allocation %ld fails: %s, %ld blocks left", f->name, bins, k,
                 fghm_status_name(status), heap.balance);
    }
    if (status != FGHM_OK) {
        world_assert_kept(w, before, f->name);
    }
    world_forget(before);
    world_free(w);
    return asked >= k;
}

static void every_function_without_memory(void **state) {
    const size_t bins[] = {FUNCTION_BINS, FUNCTION_MANY_BINS};
    (void)state;
    for (size_t b = 0; b < SUITE_COUNT(bins); b++) {
        for (size_t i = 0; i < all_function_count; i++) {
            const struct function *const f = &all_functions[i];
            long k = 1;
            while (call_without_memory(f, bins[b], k)) {
                assert_true(++k < MOST);
            }
            if ((k > 1) != may_allocate(f->name, bins[b])) {
                fail_msg("%s, %zu bins: %ld allocations", f->name, bins[b], k - 1);
            }
        }
    }
}

/* The 64-bit hash of Fowler, Noll and Vo, variant 1a, at the end of a state. */
static void sign(unsigned char *bytes, size_t size) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size - 8; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    for (size_t i = 0; i < 8; i++) {
        bytes[size - 8 + i] = (unsigned char)(hash >> 8 * i);
    }
}

/* A state that is refused for the last thing that is looked at, the average of all elements. */
static void refused_states_leave_nothing(void **state) {
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN), *made = NULL;
    unsigned char bytes[1024];
    size_t size;
    (void)state;
    assert_int_equal(fghm_ghm_get_state_size(ghm, &size), FGHM_OK);
    assert_int_equal(fghm_ghm_save(ghm, sizeof bytes, bytes), FGHM_OK);
    memset(bytes + size - 16, 0xff, 8);
    sign(bytes, size);
    watch(0);
    assert_int_equal(fghm_ghm_load(ghm, size, bytes), FGHM_ERROR_STATE);
    assert_int_equal(fghm_ghm_create_from_state(&made, size, bytes), FGHM_ERROR_STATE);
    unwatch();
    assert_int_equal(heap.balance, 0);
    assert_null(made);
    fghm_ghm_destroy(ghm);
}

/* However often the number of bins changes, destroy returns the rest. */
static void set_bins_leaks_nothing(void **state) {
    const size_t to[] = {1, FGHM_BINS_MAX, 30, 30, 0, 7};
    fghm_ghm *ghm = NULL;
    (void)state;
    watch(0);
    fghm_ghm_create(&ghm, FGHM_GHM_CLASSIFICATION);
    for (size_t i = 0; i < SUITE_COUNT(to); i++) {
        fghm_ghm_set_bins(ghm, to[i]);
    }
    fghm_ghm_destroy(ghm);
    unwatch();
    assert_int_equal(heap.balance, 0);
}

/* -------------------------------------------------------------------------
 * Computing, setting and reading allocate nothing. */

/* What computes besides fghm_focal_f32 and _f64, on ten classes or as many as there are. */
static fghm_status focal_rest(const struct dtype *d, const fghm_focal *focal, fghm_pool *pool,
                              struct batch *b, const int64_t *labels) {
    const size_t classes = b->n < 10 ? b->n : 10, samples = b->n / classes;
    double best;
    const double frequencies[] = {3.0, 1000.0};
    double logits[2];
    const fghm_status status =
        fghm_focal_best_constant(focal, 3.0, 1000.0, &best) |
        fghm_focal_best_constant_softmax(focal, 2, frequencies, NULL, NULL, logits);
    if (d->size == sizeof(float)) {
        return status | fghm_focal_calibrate_f32(focal, pool, b->n, b->logits, b->out[0]) |
               fghm_focal_calibrate_softmax_f32(focal, pool, samples, classes, b->logits, NULL,
                                                NULL, b->out[0]) |
               fghm_focal_softmax_f32(focal, pool, samples, classes, b->logits, labels,
                                      FGHM_IGNORE_NONE, NULL, &b->loss, NULL, b->out[1], NULL);
    }
    return status | fghm_focal_calibrate_f64(focal, pool, b->n, b->logits, b->out[0]) |
           fghm_focal_calibrate_softmax_f64(focal, pool, samples, classes, b->logits, NULL, NULL,
                                            b->out[0]) |
           fghm_focal_softmax_f64(focal, pool, samples, classes, b->logits, labels,
                                  FGHM_IGNORE_NONE, NULL, &b->loss, NULL, b->out[1], NULL);
}

static void computing_allocates_nothing(void **state) {
    const struct dtype *d = *state;
    static const int64_t labels[7000]; /* all of class 0 */
    struct batch b = small_batch(d, 70001);
    fghm_focal *focal = focal_handle(2.7, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *ghm = ghmc_handle(256, FGHM_REDUCTION_MEAN); /* more take memory */
    fghm_pool *const pool = pool_of(3);
    fghm_status status = FGHM_OK;
    for (int k = 0; k < 4; k++) {
        b.n = k < 2 ? 70001 : 16;
        watch(1); /* if one is asked for, it fails as well */
        status |= batch_focal(&b, focal, k % 2 ? pool : NULL);
        status |= batch_ghm(&b, ghm, k % 2 ? pool : NULL);
        status |= focal_rest(d, focal, k % 2 ? pool : NULL, &b, labels);
        assert_int_equal(unwatch(), 0);
        assert_int_equal(heap.freed, 0);
    }
    assert_int_equal(status, FGHM_OK);
    fghm_pool_destroy(pool);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
    batch_free(&b);
}

/* As ghm.h has it: 16 bytes for each element or 32, 16 KiB for each thread, and a little. */
static void density_takes_what_it_says(void **state) {
    const struct dtype *const d = *state;
    enum { N = 100000, THREADS = 3 };
    struct batch b = batch_new(d, N);
    fghm_ghm *const ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    fghm_pool *pool = NULL;
    assert_int_equal(fghm_pool_create(&pool, THREADS), FGHM_OK);
    for (int soft = 0; soft < 2; soft++) {
        const size_t each = d->size == sizeof(float) && !soft ? 16 : 32;
        d->put(b.targets, 7, soft ? 0.5 : 1.0);
        for (size_t threads = 1; threads <= THREADS; threads += THREADS - 1) {
            fghm_pool *const used = threads > 1 ? pool : NULL;
            watch(0);
            const fghm_status status =
                d->size == sizeof(float)
                    ? fghm_ghm_density_f32(ghm, used, N, b.logits, b.targets, NULL, b.out[0])
                    : fghm_ghm_density_f64(ghm, used, N, b.logits, b.targets, NULL, b.out[0]);
            assert_int_equal(unwatch(), 1);
            assert_int_equal(status, FGHM_OK);
            assert_int_equal(heap.balance, 0);
            assert_in_range(heap.bytes, each * N, each * N + threads * 16384 + 128);
        }
    }
    fghm_pool_destroy(pool);
    fghm_ghm_destroy(ghm);
    batch_free(&b);
}

static void setting_and_reading_allocate_nothing(void **state) {
    fghm_focal *focal = focal_handle(2.0, 0.25, FGHM_REDUCTION_MEAN);
    fghm_ghm *ghm = ghmc_handle(10, FGHM_REDUCTION_MEAN);
    double numbers[16];
    uint64_t counts[16];
    unsigned char saved[1024];
    size_t size;
    int32_t flag;
    (void)state;
    watch(1);
    fghm_focal_set_gamma(focal, 1.7);
    fghm_focal_set_alpha(focal, 0.5);
    fghm_focal_clear_alpha(focal);
    fghm_focal_set_negative_gamma(focal, 0.5);
    fghm_focal_get_negative_gamma(focal, numbers, &flag);
    fghm_focal_clear_negative_gamma(focal);
    fghm_focal_set_hessian_mode(focal, FGHM_HESSIAN_FLOORED);
    fghm_focal_set_hessian_floor(focal, 0.5);
    fghm_focal_get_alpha(focal, numbers, &flag);
    fghm_focal_set_reduction(focal, FGHM_REDUCTION_NORMALIZER);
    fghm_focal_set_normalizer(focal, 3.0);
    fghm_ghm_set_reduction(ghm, FGHM_REDUCTION_SUM);
    fghm_ghm_set_normalizer(ghm, 3.0);
    fghm_ghm_get_edges(ghm, 16, numbers);
    fghm_ghm_get_weights(ghm, 16, numbers);
    fghm_ghm_get_counts(ghm, 16, counts);
    fghm_ghm_get_state_size(ghm, &size);
    fghm_ghm_save(ghm, sizeof saved, saved);
    fghm_ghm_reset(ghm);
    assert_int_equal(unwatch(), 0);
    assert_int_equal(heap.freed, 0);
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
}

int main(int argument_count, char **arguments) {
    const struct suite_test tests[] = {
        {"create_without_memory", create_without_memory, 0},
        {"destroy_frees_everything", destroy_frees_everything, 0},
        {"refused_arguments_allocate_nothing", refused_arguments_allocate_nothing, 0},
        {"set_bins_without_memory", set_bins_without_memory, 0},
        {"operations_without_memory", operations_without_memory, 0},
        {"every_function_without_memory", every_function_without_memory, 0},
        {"refused_states_leave_nothing", refused_states_leave_nothing, 0},
        {"set_bins_leaks_nothing", set_bins_leaks_nothing, 0},
        {"computing_allocates_nothing", computing_allocates_nothing, 1},
        {"density_takes_what_it_says", density_takes_what_it_says, 1},
        {"setting_and_reading_allocate_nothing", setting_and_reading_allocate_nothing, 0},
    };
    return suite_run(argument_count, arguments, "alloc", tests, SUITE_COUNT(tests));
}
