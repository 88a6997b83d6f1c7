#include "openmp_team.h"
#include "strict.h"

#ifdef _OPENMP
#include "poll.h"
#include "workers.h"

#include <omp.h>
#ifndef _WIN32
#include <sched.h>
#include <sys/stat.h>
#endif

/* How many calls in a row workers have to miss before OpenMP's threads are tried. It grows each time
 * those turn out to be late. */
#define LEAST_PATIENCE 2
#define MOST_PATIENCE 8192

/* Seconds; an awake thread begins sooner. */
#define LATE 2e-5

static _Thread_local struct {
    int is_openmp, missed, patience;
} choice = {0, 0, LEAST_PATIENCE};

int pepg_prefers_openmp(void) { return choice.is_openmp; }

static void learn_from_openmp(double seconds, double waited) {
    if (seconds < LATE) return;
    choice.is_openmp = waited < 0.5 * seconds;
    if (!choice.is_openmp && choice.patience < MOST_PATIENCE) choice.patience *= 2;
    if (choice.is_openmp && choice.patience > LEAST_PATIENCE) choice.patience /= 2;
}

/* The region is as large as OpenMP makes it: threads that a smaller one leaves out would end, and the
 * other library would have to start them again. */
int pepg_run_on_openmp(int team, void (*work)(int worker, void *context), void *context) {
    const int most = omp_get_max_threads();
    const double began = seconds_now();
    double over = began;
    int size = 1;
#pragma omp parallel num_threads(team > most ? team : most)
    {
        const int worker = omp_get_thread_num();
        if (worker < team) work(worker, context);
        if (worker == 0) {
            size = omp_get_num_threads();
            over = seconds_now();
        }
    }
    const double ended = seconds_now();
    learn_from_openmp(ended - began, ended - over);
    return size < team ? size : team;
}

#ifndef _WIN32
/* Number of threads of this process, or 0 where that is unknown. */
static long n_threads_now(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) ? 0 : (long)tasks.st_nlink;
}

/* An empty region shows whether OpenMP's threads are awake. If it has to create them, then nothing else
 * in this thread uses them. */
static void try_openmp(int team) {
    const long before = n_threads_now();
    double over = 0.0;
    if (!pepg_can_start(team - 1)) return;
    for (int i = 0; i < 1000 && n_threads_now() > before; ++i)
        sched_yield(); /* until those are gone */
#pragma omp parallel
    if (omp_get_thread_num() == 0) over = seconds_now();
    choice.is_openmp = seconds_now() - over < LATE && n_threads_now() <= before;
    if (n_threads_now() > before)
        choice.patience = MOST_PATIENCE;
    else if (!choice.is_openmp && choice.patience < MOST_PATIENCE)
        choice.patience *= 2;
}

void pepg_learn_from_workers(int team, double seconds, int is_missed) {
    if (!is_missed) choice.missed = 0;
    if (!is_missed || seconds < LATE || ++choice.missed < choice.patience) return;
    choice.missed = 0;
    try_openmp(team);
}
#endif

#endif
