#include "finite.h"
#include "parallel.h"
#include "strict.h"

#include <float.h>
#include <stdatomic.h>
#include <stdint.h>

/* Nanoseconds a number costs, roughly, and numbers that one task looks at. */
#define LOOK_COST 0.15
#define LOOK_TASK 32768

/* `flags` is an integer as wide as a number, so that the loop vectorises. */
#define ALL_FINITE(suffix, real, flags, greatest)                                                  \
    static int is_finite##suffix(ptrdiff_t n, const real *x, real above) {                         \
        flags bad = 0;                                                                             \
        for (ptrdiff_t i = 0; i < n; ++i) bad |= !(x[i] > above) | !(x[i] <= greatest);            \
        return !bad;                                                                               \
    }                                                                                              \
                                                                                                   \
    typedef struct {                                                                               \
        ptrdiff_t n;                                                                               \
        const real *x;                                                                             \
        real above;                                                                                \
        atomic_int is_bad;                                                                         \
    } look##suffix;                                                                                \
                                                                                                   \
    static void look_task##suffix(ptrdiff_t task, int worker, void *context) {                     \
        look##suffix *const look = context;                                                        \
        const ptrdiff_t first = task * LOOK_TASK, left = look->n - first;                          \
        (void)worker;                                                                              \
        if (!is_finite##suffix(left < LOOK_TASK ? left : LOOK_TASK, look->x + first, look->above)) \
            atomic_store(&look->is_bad, 1);                                                        \
    }                                                                                              \
                                                                                                   \
    int pepg_all_finite##suffix(ptrdiff_t n, const real *x, real above, int n_threads) {           \
        if (n <= LOOK_TASK) return is_finite##suffix(n, x, above);                                 \
        look##suffix look = {n, x, above, 0};                                                      \
        const ptrdiff_t n_tasks = (n + LOOK_TASK - 1) / LOOK_TASK;                                 \
        const int team = pepg_team(n_threads, LOOK_COST * (double)n, n_tasks);                     \
        pepg_parallel(n_tasks, team, look_task##suffix, &look);                                    \
        return !atomic_load(&look.is_bad);                                                         \
    }

ALL_FINITE(, double, int64_t, DBL_MAX)
ALL_FINITE(_f32, float, int32_t, FLT_MAX)
