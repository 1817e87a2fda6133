/* SPDX-License-Identifier: MIT */
#include "density.h"

#include <math.h>

long double density_norm(double logit, double target) {
    const long double x = (long double)logit, t = (long double)target;
    return t == 1.0L ? 1.0L / (1.0L + expl(x)) : fabsl(1.0L / (1.0L + expl(-x)) - t);
}

void density_weight(const long double *norms, size_t n, size_t total, size_t i, size_t bins,
                    double cap, long double bounds[2]) {
    const long double half = 0.5L / (long double)bins, doubt = 0x1p-51L;
    const long double low = norms[i] - half, high = norms[i] + half;
    const long double length = fminl(high, 1.0L) - fmaxl(low, 0.0L);
    size_t least = 0, most = 0;
    for (size_t k = 0; k < n; k++) {
        /* Comparisons with NaN are false. */
        least += norms[k] >= low + doubt && norms[k] < high - doubt;
        most += norms[k] >= low - doubt && norms[k] < high + doubt;
    }
    bounds[0] = fminl((long double)total * length / (long double)most, (long double)cap);
    bounds[1] = fminl((long double)total * length / (long double)least, (long double)cap);
}

long double density_promised(size_t bins, bool is_double) {
    return (8.0L + (long double)bins) * 0x1p-52L + (is_double ? 0.0L : 0x1p-24L);
}
