/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

/* What the library has to beat: focal loss and its gradient in the plain C that
 * one would write without it, left to the compiler to make fast.  loops.c is
 * compiled once for each set, with flags of its own. */

#include <stddef.h>

/* Writes scale * d loss / d logit for targets 0 and 1, alpha 1/4; returns the sum
 * of the losses times scale. */
typedef double loop_function(size_t n, const void *logits, const void *targets, void *gradient,
                             double gamma, double scale);

/* The same of softmax with gamma 2, without alpha: rows of logits, with a label each. */
typedef double softmax_loop_function(size_t samples, size_t classes, const void *logits,
                                     const unsigned char *labels, void *gradient, double scale);

struct loop {
    const char *name;
    loop_function *run;
    softmax_loop_function *run_softmax;
};

/* Different ways to write the same loop; which one is fastest depends on the
 * compiler and the processor, so all are timed and the fastest counts. */
struct loop_forms {
    size_t count;
    const struct loop *forms;
};

struct loop_set {
    struct loop_forms gamma_2;
    struct loop_forms general_gamma;
    struct loop_forms softmax;
};

extern const struct loop_set loops_libm_f32;
/* Where the compiler can make vector code with calls to a vector libm. */
#if BENCH_HAVE_LOOPS_OFAST
extern const struct loop_set loops_ofast_f32;
extern const struct loop_set loops_ofast_f64;
extern const struct loop_set loops_ofast512_f32;
extern const struct loop_set loops_ofast512_f64;
extern const struct loop_set loops_ofast_avx2_f32;
#endif

#endif
