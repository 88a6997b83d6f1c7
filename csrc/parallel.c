#include "parallel.h"

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

/* A team costs a few microseconds to wake: below this much work it cannot pay. Measured, see bench/README.md. */
#define WORTH_A_TEAM 10000.0

#ifdef _OPENMP

/* libgomp's threads do not survive fork(), and a child that opens a parallel region waits for them for ever: after
 * a fork this process works on one thread. */
static int forked = 0;
static void note_fork(void) { forked = 1; }

#ifndef _WIN32
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(0, 0, note_fork); }
#endif

int pepg_openmp_version(void) { return _OPENMP; }

int pepg_available_threads(int n_threads) {
    if (forked || omp_in_parallel()) return 1;
    return n_threads > 0 ? n_threads : omp_get_max_threads();
}

#else

int pepg_openmp_version(void) { return 0; }

int pepg_available_threads(int n_threads) {
    (void)n_threads;
    return 1;
}

#endif

int pepg_team(int n_threads, double work, ptrdiff_t n_tasks) {
    if (n_threads == 1 || n_tasks < 2 || work < WORTH_A_TEAM) return 1;
    const int threads = pepg_available_threads(n_threads);
    return (ptrdiff_t)threads < n_tasks ? threads : (int)n_tasks;
}

void pepg_parallel(ptrdiff_t n_tasks, int team, pepg_task *task, void *context) {
    if (team <= 1) {
        for (ptrdiff_t i = 0; i < n_tasks; ++i) task(i, 0, context);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(team)
    for (ptrdiff_t i = 0; i < n_tasks; ++i) task(i, omp_get_thread_num(), context);
#endif
}
