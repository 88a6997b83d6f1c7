/* Steps along a given gradient. */
#include "step.h"
#include "checks.h"
#include "dispatch.h"
#include "tasks.h"

#include <string.h>

double pepg_power(double b, uint64_t t) {
    double result = 1.0;
    for (; t; t >>= 1, b *= b)
        if (t & 1) result *= b;
    return result;
}

double pepg_adam_step_size(double alpha, double beta_1, double beta_2, uint64_t t) {
    return alpha * (sqrt(1.0 - pepg_power(beta_2, t)) / (1.0 - pepg_power(beta_1, t)));
}

size_t pepg_velocity_work_size(ptrdiff_t n) {
    return n < 1 ? 0 : (size_t)n + (size_t)column_blocks(n);
}

#define EACH_WIDTH "step_real.inc"
#include "width.h"
