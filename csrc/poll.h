/* Interruption of long calls: the caller's function is called about 20 times a second, on the calling
 * thread. */
#ifndef PEPG_POLL_H
#define PEPG_POLL_H

#include "pepg_fast.h"

#include <stdatomic.h>
#include <time.h>

/* Seconds between two calls of it. */
#define POLL_SECONDS 0.05

static inline double seconds_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The first member of a job, so that `poll_now` has the type that pepg_parallel_polled needs. */
typedef struct {
    pepg_interrupted *interrupted; /* NULL if there is none */
    void *context;
    atomic_int is_stopped;
    double polled; /* time of the last call, used only by worker 0, the calling thread */
} pepg_poll;

static inline void poll_now(void *job) {
    pepg_poll *poll = job;
    if (!poll->interrupted || atomic_load(&poll->is_stopped)) return;
    const double now = seconds_now();
    if (now >= poll->polled && now < poll->polled + POLL_SECONDS) return;
    poll->polled = now;
    if (poll->interrupted(poll->context)) atomic_store(&poll->is_stopped, 1);
}

/* Reading the clock costs as much as a step of a small environment, while a step of a large one may take
 * long. So the clock is read after a number of steps that depends on the time of the last ones. */
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

/* The same within a pass, for steps that take long. */
static inline int must_stop_here(pepg_poll *poll, int worker, poll_pace *pace) {
    return pace->interval == 1 && must_stop(poll, worker, pace);
}

#endif
