/* Whether a long call goes on: asked of its caller some 20 times a second, on the calling thread. */
#ifndef PEPG_POLL_H
#define PEPG_POLL_H

#include "pepg_fast.h"

#include <stdatomic.h>
#include <time.h>

/* How often the caller is asked. */
#define POLL_SECONDS 0.05

static inline double seconds_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The first member of a job, so that `poll_now` is what pepg_parallel_polled wants. */
typedef struct {
    pepg_interrupted *interrupted; /* NULL: never */
    void *context;
    atomic_int is_stopped;
    double polled; /* when, by worker 0, the calling thread, alone */
} pepg_poll;

static inline void poll_now(void *job) {
    pepg_poll *poll = job;
    if (!poll->interrupted || atomic_load(&poll->is_stopped)) return;
    const double now = seconds_now();
    if (now >= poll->polled && now < poll->polled + POLL_SECONDS) return;
    poll->polled = now;
    if (poll->interrupted(poll->context)) atomic_store(&poll->is_stopped, 1);
}

/* Looking at the clock costs as much as a step of a small environment; a large one may take long.
 * So: every so many steps, and more or less of them by what the last ones took. */
typedef struct {
    ptrdiff_t interval, left;
    double looked;
} poll_pace;

static inline int must_stop(pepg_poll *poll, int worker, poll_pace *pace) {
    if (worker == 0 && --pace->left <= 0) {
        const double now = seconds_now(), passed = now - pace->looked;
        if (passed < POLL_SECONDS / 8 && pace->interval < 4096)
            pace->interval *= 2;
        else if (passed > POLL_SECONDS / 2)
            pace->interval = 1;
        pace->looked = now;
        pace->left = pace->interval;
        poll_now(poll);
    }
    return atomic_load_explicit(&poll->is_stopped, memory_order_relaxed);
}

/* The same within a pass, where single steps take long. */
static inline int must_stop_here(pepg_poll *poll, int worker, poll_pace *pace) {
    return pace->interval == 1 && must_stop(poll, worker, pace);
}

#endif
