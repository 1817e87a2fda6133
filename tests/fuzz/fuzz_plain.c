/* SPDX-License-Identifier: MIT */

/* Calls with plain arrays, and those that read settings and weights back.  What fuzz_calls.c holds
 * against batches is held against these; and a batch of the same arrays has the same bits. */

#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <focalghm/focalghm.h>

#include "input.h"
#include "memory.h"
#include "numbers.h"
#include "rows.h"
#include "settings.h"

enum { LOGITS, TARGETS, WEIGHTS, ELEMENT_LOSS, GRADIENT, HESSIAN, ARRAYS };
enum { CLASS_GAMMA = ARRAYS, CLASS_WEIGHTS, FREQUENCIES, ALL_ARRAYS, COUNTS = ALL_ARRAYS };
#define INPUTS ELEMENT_LOSS
enum operation { FOCAL, SOFTMAX, CALIBRATE, CALIBRATE_SOFTMAX, STEP, APPLY, DENSITY, OPERATIONS };

#define CLASSES_MOST ((size_t)3) /* of best constants */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct call {
    enum operation operation;
    bool is_double;
    size_t n, classes; /* elements; of a sample */
    void *arrays[ALL_ARRAYS];
    size_t slots[ALL_ARRAYS], origins[ALL_ARRAYS];
    int64_t ignore_index;
    bool wants_loss;
    double loss;
    bool ordinary, finite;
};

static fghm_dtype dtype_of(const struct call *call) {
    return call->is_double ? FGHM_F64 : FGHM_F32;
}

static size_t elements_of(const struct call *call, int array) {
    const bool of_samples = array == TARGETS || array == WEIGHTS || array == ELEMENT_LOSS;
    return call->operation == SOFTMAX && of_samples ? call->n / call->classes : call->n;
}

static size_t step_of(const struct call *call, int array) {
    return call->operation == SOFTMAX && array == TARGETS ? sizeof(int64_t)
                                                          : number_size(dtype_of(call));
}

/* Drawing ------------------------------------------------------------------------------ */

static double ordinary(const struct call *call, int array, bool hard, uint64_t draw) {
    if (array == TARGETS && call->operation == SOFTMAX) {
        return (double)(draw % call->classes);
    }
    return array == TARGETS   ? (hard ? (double)(draw % 2) : (double)(draw % 5) / 4)
           : array == WEIGHTS ? (double)(draw % 4) / 4
                              : (double)(draw % 64) / 4 - 8;
}

static void fill(struct input *in, struct call *call, int array) {
    const bool labels = array == TARGETS && call->operation == SOFTMAX;
    const fghm_dtype dtype = labels ? FGHM_I64 : dtype_of(call);
    struct memory *const memory = memory_slot((size_t)array);
    const size_t step = number_size(dtype);
    size_t kind = input_below(in, 8);
    const bool regression = call->operation == STEP || call->operation == APPLY;
    kind = kind == 5 && (array != LOGITS || regression) ? 0 : kind;
    uint64_t state = input_bits(in, 2) * 2 + 1;
    for (size_t at = 0; at + step <= memory->size; at += step) {
        unsigned char *const to = memory->bytes + at;
        const uint64_t bits = number_next(&state) * (kind == 7 ? UINT64_C(0x8000000080008080) : 1);
        memcpy(to, &bits, step);
        if (kind < 5 || (kind == 5 && !number_is_finite(dtype, to))) {
            number_put(dtype, to, ordinary(call, array, kind >= 2, number_next(&state) >> 20));
        }
    }
    call->ordinary = call->ordinary && (kind < 5 || array >= INPUTS);
    call->finite = call->finite && (kind < 6 || array >= INPUTS);
}

/* Numbers of the classes, some of them in their range; the last bytes in front of the page, since
 * there are few. */
static void draw_class_numbers(struct input *in, struct call *call, int array) {
    struct memory *const memory = memory_take((size_t)array, call->classes * sizeof(double), true);
    const bool any = input_below(in, 4) == 1;
    double *const numbers = (double *)(void *)memory->bytes;
    call->arrays[array] = numbers;
    for (size_t c = 0; c < call->classes; c++) {
        const double usual = (double)(1 + input_below(in, 16)) / 4;
        numbers[c] = any ? input_number(in) : usual;
    }
}

/* More than 4096 are cut into tasks, which takes long. */
static size_t draw_elements(struct input *in) {
    const size_t choice = input_below(in, 256);
    return choice == 255   ? 4096 + input_below(in, 4000)
           : choice >= 224 ? input_below(in, 600)
                           : input_below(in, 40);
}

static void draw_call(struct input *in, struct call *call) {
    memset(call, 0, sizeof *call);
    call->operation = (enum operation)input_below(in, OPERATIONS);
    call->is_double = input_below(in, 2) == 1;
    call->ordinary = call->finite = true;
    const bool has_classes = call->operation == SOFTMAX || call->operation == CALIBRATE_SOFTMAX;
    const bool many = has_classes && input_below(in, 8) == 1;
    call->classes = many ? 33 + input_below(in, 600) : has_classes ? 1 + input_below(in, 20) : 1;
    const size_t n = many ? call->classes * (1 + input_below(in, 10)) : draw_elements(in);
    call->n = n - n % call->classes;
    call->ignore_index = input_below(in, 4) == 1 ? input_integer(in) : FGHM_IGNORE_NONE;
    call->wants_loss = input_below(in, 4) != 1;
    call->loss = 5;
    const size_t present = ~input_bits(in, 1);
    for (int array = 0; array < ARRAYS; array++) {
        call->slots[array] = (size_t)array;
        if (array > TARGETS && (present >> array & 1) == 0) {
            continue;
        }
        const size_t slack = input_below(in, 8) == 1 ? 3 : 0;
        memory_take((size_t)array, (elements_of(call, array) + slack) * step_of(call, array),
                    input_below(in, 2) == 0);
        fill(in, call, array);
        call->arrays[array] = memory_slot((size_t)array)->bytes;
    }
    for (int array = CLASS_GAMMA; array <= CLASS_WEIGHTS; array++) {
        call->slots[array] = (size_t)array;
        if (call->operation == CALIBRATE_SOFTMAX && input_below(in, 2) == 1) {
            draw_class_numbers(in, call, array);
        }
    }
    const int output = INPUTS + (int)input_below(in, ARRAYS - INPUTS);
    const int other = (int)input_below(in, ALL_ARRAYS);
    if (input_below(in, 4) == 1 && call->arrays[output] != NULL && call->arrays[other] != NULL) {
        const struct memory *const memory = memory_slot((size_t)other);
        const size_t step = step_of(call, output);
        const size_t origin = step * (input_below(in, 4) == 1 ? input_below(in, 4) : 0);
        const size_t bytes = elements_of(call, output) * step;
        if (bytes <= memory->size && origin <= memory->size - bytes) {
            call->arrays[output] = memory->bytes + origin;
            call->slots[output] = (size_t)other;
            call->origins[output] = origin;
        }
    }
}

/* Calling ------------------------------------------------------------------------------ */

#define RUN(type, suffix)                                                                          \
    static fghm_status run_##suffix(const fghm_focal *focal, fghm_ghm *ghm, fghm_pool *pool,       \
                                    struct call *call) {                                           \
        type *const logits = call->arrays[LOGITS], *const weights = call->arrays[WEIGHTS];         \
        type *const element_loss = call->arrays[ELEMENT_LOSS];                                     \
        type *const gradient = call->arrays[GRADIENT], *const hessian = call->arrays[HESSIAN];     \
        void *const targets = call->arrays[TARGETS];                                               \
        double *const loss = call->wants_loss ? &call->loss : NULL;                                \
        switch (call->operation) {                                                                 \
        case FOCAL:                                                                                \
            return fghm_focal_##suffix(focal, pool, call->n, logits, targets, weights, loss,       \
                                       element_loss, gradient, hessian);                           \
        case SOFTMAX:                                                                              \
            return fghm_focal_softmax_##suffix(focal, pool, call->n / call->classes,               \
                                               call->classes, logits, targets, call->ignore_index, \
                                               weights, loss, element_loss, gradient, hessian);    \
        case CALIBRATE:                                                                            \
            return fghm_focal_calibrate_##suffix(focal, pool, call->n, logits, gradient);          \
        case CALIBRATE_SOFTMAX:                                                                    \
            return fghm_focal_calibrate_softmax_##suffix(                                          \
                focal, pool, call->n / call->classes, call->classes, logits,                       \
                call->arrays[CLASS_GAMMA], call->arrays[CLASS_WEIGHTS], gradient);                 \
        case STEP:                                                                                 \
            return fghm_ghm_step_##suffix(ghm, pool, call->n, logits, targets, weights, loss,      \
                                          element_loss, gradient, hessian);                        \
        case APPLY:                                                                                \
            return fghm_ghm_apply_##suffix(ghm, pool, call->n, logits, targets, weights, loss,     \
                                           element_loss, gradient, hessian);                       \
        default:                                                                                   \
            return fghm_ghm_density_##suffix(ghm, pool, call->n, logits, targets, weights,         \
                                             gradient);                                            \
        }                                                                                          \
    }
RUN(float, f32)
RUN(double, f64)

static fghm_status run(const fghm_focal *focal, fghm_ghm *ghm, fghm_pool *pool, struct call *call) {
    call->loss = 5;
    errno = 17;
    feclearexcept(FE_ALL_EXCEPT);
    return call->is_double ? run_f64(focal, ghm, pool, call) : run_f32(focal, ghm, pool, call);
}

static bool calibrates(const struct call *call) {
    return call->operation == CALIBRATE || call->operation == CALIBRATE_SOFTMAX;
}

/* The calls that have one output, and take no handle's factors. */
static bool is_map(const struct call *call) {
    return calibrates(call) || call->operation == DENSITY;
}

static bool is_written(const struct call *call, int array) {
    return array >= INPUTS && call->arrays[array] != NULL && (!is_map(call) || array == GRADIENT);
}

static bool replaces_input(const struct call *call, int array) {
    return call->slots[array] < INPUTS || call->slots[array] >= ARRAYS;
}

static bool is_probability(fghm_dtype dtype, const void *from) {
    float f32 = 0;
    double f64 = 0;
    memcpy(dtype == FGHM_F32 ? (void *)&f32 : (void *)&f64, from, number_size(dtype));
    return dtype == FGHM_F32 ? f32 >= 0 && f32 <= 1 : f64 >= 0 && f64 <= 1;
}

static void check_call(const struct call *call, fghm_status status, bool computed, double factor) {
    const int raised = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
    REQUIRE(errno == 17);
    memory_require_surroundings();
    REQUIRE(status == FGHM_OK || call->loss == 5);
    if (!computed) {
        memory_require_untouched();
        return;
    }
    const bool weighted = call->arrays[WEIGHTS] != NULL;
    const bool finite = status == FGHM_OK && factor < 0x1p100 &&
                        (call->ordinary || (call->finite && factor <= 1 && !weighted));
    /* The sum of finite doubles may be none. */
    REQUIRE(!finite || isfinite(call->loss) || (call->is_double && !call->ordinary));
    REQUIRE(raised == 0 || !finite || !call->ordinary);
    const fghm_dtype dtype = dtype_of(call);
    for (int array = INPUTS; array < ARRAYS; array++) {
        struct memory *const memory = memory_slot(call->slots[array]);
        for (size_t k = 0; is_written(call, array) && k < elements_of(call, array); k++) {
            const size_t at = call->origins[array] + k * number_size(dtype);
            memset(memory->is_element + at, 1, number_size(dtype));
            memory_require_written(memory, at, number_size(dtype));
            REQUIRE(!finite || number_is_finite(dtype, memory->bytes + at));
            REQUIRE(!calibrates(call) || number_is_nan(dtype, memory->bytes + at) ||
                    is_probability(dtype, memory->bytes + at));
        }
    }
    memory_require_gaps();
}

static void prepare_again(struct call *call, bool computed) {
    memory_keep_results();
    memory_put_back();
    for (int array = INPUTS; computed && array < ARRAYS; array++) {
        if (is_written(call, array) && !replaces_input(call, array)) {
            memory_forget(memory_slot(call->slots[array]), call->origins[array],
                          elements_of(call, array) * number_size(dtype_of(call)));
        }
    }
}

static void check_again(const struct call *call, bool computed) {
    REQUIRE(errno == 17);
    memory_require_surroundings();
    if (!computed) {
        memory_require_untouched();
        return;
    }
    const fghm_dtype dtype = dtype_of(call);
    for (int array = INPUTS; array < ARRAYS; array++) {
        const struct memory *const memory = memory_slot(call->slots[array]);
        for (size_t k = 0; is_written(call, array) && k < elements_of(call, array); k++) {
            const size_t at = call->origins[array] + k * number_size(dtype);
            REQUIRE(number_equal(dtype, memory->bytes + at, memory->after + at));
        }
    }
    memory_require_gaps();
}

/* The batch of the same arrays. */
static fghm_status run_batch(const fghm_focal *focal, fghm_ghm *ghm, fghm_pool *pool,
                             struct call *call) {
    fghm_batch batch = FGHM_BATCH_INIT;
    fghm_result result = FGHM_RESULT_INIT;
    const fghm_dtype dtype = dtype_of(call);
    const bool softmax = call->operation == SOFTMAX;
    batch.ndim = softmax ? 2 : 1;
    batch.shape[0] = (int64_t)(call->n / call->classes);
    if (softmax) {
        batch.shape[1] = (int64_t)call->classes;
        batch.class_axis = 1;
        batch.activation = FGHM_SOFTMAX;
        batch.target_form = FGHM_TARGET_LABEL;
        batch.ignore_index = call->ignore_index;
    }
    batch.logits.data = call->arrays[LOGITS];
    batch.targets.data = call->arrays[TARGETS];
    batch.weights.data = call->arrays[WEIGHTS];
    batch.element_loss.data = call->arrays[ELEMENT_LOSS];
    batch.gradient.data = call->arrays[GRADIENT];
    batch.hessian.data = call->arrays[HESSIAN];
    batch.logits.dtype = batch.weights.dtype = dtype;
    batch.targets.dtype = softmax ? FGHM_I64 : dtype;
    batch.element_loss.dtype = batch.gradient.dtype = batch.hessian.dtype = dtype;
    fghm_result *const wanted = call->wants_loss ? &result : NULL;
    errno = 17;
    const fghm_status status =
        call->operation == STEP    ? fghm_ghm_step_batch(ghm, pool, &batch, wanted)
        : call->operation == APPLY ? fghm_ghm_apply_batch(ghm, pool, &batch, wanted)
                                   : fghm_focal_batch(focal, pool, &batch, wanted);
    call->loss = wanted != NULL && status == FGHM_OK ? result.loss : 5;
    return status;
}

static bool changes_handle(const struct call *call) {
    return call->operation == STEP;
}

static void call_plain(struct input *in, const fghm_focal *focal, fghm_ghm *ghm, fghm_pool *pool) {
    struct call call;
    draw_call(in, &call);
    fghm_ghm *copy = NULL, *another = NULL;
    REQUIRE(fghm_ghm_clone(ghm, &copy) == FGHM_OK && fghm_ghm_clone(ghm, &another) == FGHM_OK);
    const double factor = is_map(&call)               ? 1
                          : call.operation <= SOFTMAX ? settings_focal_factor(focal)
                                                      : settings_ghm_factor(ghm);
    memory_remember();
    const fghm_status status = run(focal, ghm, NULL, &call);
    const bool computed =
        status == FGHM_OK ||
        (status == FGHM_ERROR_TARGET && call.operation != STEP && call.operation != DENSITY);
    check_call(&call, status, computed, factor);
    if (!computed || !changes_handle(&call)) {
        ghm_require_equal(ghm, copy);
    }
    const double loss = call.loss;
    prepare_again(&call, computed);
    if (rows_equal_scalar()) {
        rows_use_scalar();
    }
    REQUIRE(run(focal, copy, pool, &call) == status);
    check_again(&call, computed);
    REQUIRE(number_equal(FGHM_F64, &loss, &call.loss));
    ghm_require_equal(ghm, copy);
    if (!is_map(&call) && call.n > 0 && status != FGHM_ERROR_SIZE) {
        prepare_again(&call, false);
        const fghm_status of_batch = run_batch(focal, another, pool, &call);
        /* Of two errors each may find another one first. */
        REQUIRE(computed ? of_batch == status : of_batch != FGHM_OK);
        check_again(&call, computed);
        REQUIRE(number_equal(FGHM_F64, &loss, &call.loss));
        ghm_require_equal(ghm, another);
    }
    memory_release();
    fghm_ghm_destroy(copy);
    fghm_ghm_destroy(another);
}

/* Reading back ------------------------------------------------------------------------- */

/* The getters of arrays, with room for as much as is there, or for less. */
static void read_back(struct input *in, const fghm_ghm *ghm) {
    size_t bins = 0, histograms = 0, size = 0;
    REQUIRE(fghm_ghm_get_bins(ghm, &bins) == FGHM_OK);
    REQUIRE(fghm_ghm_get_histograms(ghm, &histograms) == FGHM_OK);
    REQUIRE(fghm_ghm_get_counts_size(ghm, &size) == FGHM_OK && size == (bins + 1) * histograms);
    const size_t what = input_below(in, 5), less = input_below(in, 2);
    const size_t wanted = what == 0   ? bins + 1
                          : what == 1 ? size
                          : what == 4 ? histograms
                                      : bins * histograms;
    if (wanted * sizeof(uint64_t) > MEMORY_BYTES) {
        return;
    }
    const size_t capacity = wanted - less;
    struct memory *const memory = memory_take(0, capacity * sizeof(uint64_t), true);
    memset(memory->bytes, 0x77, memory->size);
    memory_remember();
    void *const to = memory->bytes;
    const fghm_status status = what == 0   ? fghm_ghm_get_edges(ghm, capacity, to)
                               : what == 1 ? fghm_ghm_get_counts(ghm, capacity, to)
                               : what == 2 ? fghm_ghm_get_averages(ghm, capacity, to)
                               : what == 3 ? fghm_ghm_get_weights(ghm, capacity, to)
                                           : fghm_ghm_get_nonempty(ghm, capacity, to);
    REQUIRE(status == (less == 0 ? FGHM_OK : FGHM_ERROR_CAPACITY));
    if (status != FGHM_OK) {
        memory_require_untouched();
    }
    for (size_t k = 0; status == FGHM_OK && k < wanted; k++) {
        REQUIRE(what == 1 || what == 4 || isfinite(((double *)to)[k]));
        REQUIRE(what != 4 || ((size_t *)to)[k] <= bins);
    }
    memory_require_surroundings();
    memory_release();
}

static void call_best_constant(struct input *in, const fghm_focal *focal) {
    double logit = 5;
    errno = 17;
    feclearexcept(FE_ALL_EXCEPT);
    const fghm_status status =
        fghm_focal_best_constant(focal, input_number(in), input_number(in), &logit);
    REQUIRE(errno == 17);
    REQUIRE(status != FGHM_OK || fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0);
    REQUIRE(status == FGHM_OK ? isfinite(logit) : logit == 5);
}

/* What the logits are calibrated to is the frequencies. */
static void check_best_constants(const fghm_focal *focal, const struct call *call) {
    const double *const frequencies = call->arrays[FREQUENCIES];
    double probabilities[CLASSES_MOST], largest = 0, sum = 0;
    REQUIRE(fghm_focal_calibrate_softmax_f64(focal, NULL, 1, call->classes, call->arrays[GRADIENT],
                                             call->arrays[CLASS_GAMMA], call->arrays[CLASS_WEIGHTS],
                                             probabilities) == FGHM_OK);
    for (size_t c = 0; c < call->classes; c++) {
        largest = fmax(largest, frequencies[c]);
    }
    for (size_t c = 0; c < call->classes; c++) {
        sum += frequencies[c] / largest;
    }
    for (size_t c = 0; c < call->classes; c++) {
        REQUIRE(fabs(probabilities[c] - frequencies[c] / largest / sum) < 0x1p-30);
    }
}

/* Milliseconds for each class. */
static void call_best_constant_softmax(struct input *in, const fghm_focal *focal) {
    struct call call;
    memset(&call, 0, sizeof call);
    call.classes = input_below(in, CLASSES_MOST + 1);
    for (int array = CLASS_GAMMA; array <= FREQUENCIES; array++) {
        if (array == FREQUENCIES || input_below(in, 2) == 1) {
            draw_class_numbers(in, &call, array);
        }
    }
    const size_t other = CLASS_GAMMA + input_below(in, 32);
    const bool shared = other <= FREQUENCIES && call.arrays[other] != NULL;
    const size_t slot = shared ? other : GRADIENT;
    if (!shared) {
        memory_take(GRADIENT, call.classes * sizeof(double), input_below(in, 2) == 0);
    }
    call.arrays[GRADIENT] = memory_slot(slot)->bytes;
    memory_remember();
    errno = 17;
    feclearexcept(FE_ALL_EXCEPT);
    const fghm_status status = fghm_focal_best_constant_softmax(
        focal, call.classes, call.arrays[FREQUENCIES], call.arrays[CLASS_GAMMA],
        call.arrays[CLASS_WEIGHTS], call.arrays[GRADIENT]);
    REQUIRE(errno == 17);
    memory_require_surroundings();
    if (status != FGHM_OK) {
        memory_require_untouched();
    } else {
        REQUIRE(!shared && fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0);
        memset(memory_slot(slot)->is_element, 1, memory_slot(slot)->size);
        memory_require_written(memory_slot(slot), 0, memory_slot(slot)->size);
        memory_require_gaps();
        check_best_constants(focal, &call);
    }
    memory_release();
}

/* Texts and structs of any number. */
static void call_small(struct input *in) {
    const int32_t number = (int32_t)input_integer(in);
    REQUIRE(fghm_status_string(number) != NULL && fghm_status_name(number) != NULL);
    REQUIRE(fghm_field_name(number) != NULL && fghm_place_name(number) != NULL);
    REQUIRE(fghm_isa_name() != NULL && fghm_version() != NULL);
    REQUIRE(fghm_version_number() == FGHM_VERSION);
    const size_t claimed =
        input_below(in, 4) == 1 ? (size_t)input_integer(in) : 8 * input_below(in, 4096 / 8 + 1);
    const size_t size = claimed < 4096 ? claimed : 4096;
    const bool is_batch = input_below(in, 2) == 1;
    struct memory *const memory = memory_take(0, size, true);
    memset(memory->bytes, 0x77, size);
    memory_remember();
    const fghm_status status = is_batch ? fghm_batch_init((void *)memory->bytes, claimed)
                                        : fghm_result_init((void *)memory->bytes, claimed);
    memory_require_surroundings();
    if (status != FGHM_OK) {
        memory_require_untouched();
    }
    memory_release();
}

static void call_count(struct input *in, const fghm_ghm *ghm, fghm_pool *pool) {
    struct call call;
    size_t size = 0;
    draw_call(in, &call);
    REQUIRE(fghm_ghm_get_counts_size(ghm, &size) == FGHM_OK);
    if (call.operation != SOFTMAX && size * sizeof(uint64_t) <= MEMORY_BYTES) {
        struct memory *const memory = memory_take(COUNTS, size * sizeof(uint64_t), true);
        uint64_t *const counts = (uint64_t *)(void *)memory->bytes;
        const uint64_t before = input_below(in, 4) == 1 ? input_bits(in, 8) : 0;
        for (size_t k = 0; k < size; k++) {
            counts[k] = before;
        }
        memory_remember();
        errno = 17;
        const fghm_status status =
            call.is_double
                ? fghm_ghm_count_f64(ghm, pool, call.n, call.arrays[LOGITS], call.arrays[TARGETS],
                                     call.arrays[WEIGHTS], size, counts)
                : fghm_ghm_count_f32(ghm, pool, call.n, call.arrays[LOGITS], call.arrays[TARGETS],
                                     call.arrays[WEIGHTS], size, counts);
        REQUIRE(errno == 17);
        memory_require_surroundings();
        memset(memory->is_element, status == FGHM_OK, memory->size);
        memory_require_gaps();
        uint64_t counted = 0;
        for (size_t k = 0; k < size; k++) {
            counted += counts[k] - before;
        }
        REQUIRE(counted <= call.n);
        REQUIRE(status != FGHM_OK || call.arrays[WEIGHTS] != NULL || counted == call.n);
    }
    memory_release();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input in = {bytes, size};
    const size_t what = input_below(&in, 8);
    rows_use(input_below(&in, 2) == 0 ? 0 : input_below(&in, rows_count()));
    fghm_pool *const some = settings_pool(&in);
    fghm_focal *const focal = settings_focal(&in);
    fghm_ghm *const ghm =
        settings_ghm(&in, input_below(&in, 2) == 0 ? FGHM_GHM_CLASSIFICATION : FGHM_GHM_REGRESSION);
    if (what == 1) {
        const size_t which = input_below(&in, 4);
        if (which == 0) {
            call_small(&in);
        } else if (which == 1) {
            call_best_constant_softmax(&in, focal);
        } else {
            call_best_constant(&in, focal);
        }
    } else if (what == 2) {
        call_count(&in, ghm, some);
    } else if (what == 3) {
        read_back(&in, ghm);
    } else {
        call_plain(&in, focal, ghm, some);
    }
    fghm_focal_destroy(focal);
    fghm_ghm_destroy(ghm);
    return 0;
}
