/* Fitness functions for tests of native runs. */
#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

double ball(const double *x, ptrdiff_t dim, void *data) {
    double sum = 0.0;
    (void)data;
    for (ptrdiff_t j = 0; j < dim; ++j) sum += (x[j] - 1.0) * (x[j] - 1.0);
    return -sum;
}

/* The position of the maximum. */
double ball_around(const double *x, ptrdiff_t dim, void *data) {
    double sum = 0.0;
    for (ptrdiff_t j = 0; j < dim; ++j) sum += (x[j] - *(double *)data) * (x[j] - *(double *)data);
    return -sum;
}

/* NaN for some candidates. */
double holes(const double *x, ptrdiff_t dim, void *data) {
    return x[0] > 1.0 ? NAN : ball(x, dim, data);
}

static atomic_int n_slow;

double slow(const double *x, ptrdiff_t dim, void *data) {
    const struct timespec pause = {0, 1000000};
    atomic_fetch_add(&n_slow, 1);
    nanosleep(&pause, NULL);
    return ball(x, dim, data);
}
