#include "openmp_team.h"
#include "strict.h"

#ifdef _OPENMP
#include <omp.h>

#ifdef _WIN32

int pepg_run_on_openmp(int team, void (*work)(int worker, void *context), void *context) {
    int size = 1;
#pragma omp parallel num_threads(team)
    {
        if (omp_get_thread_num() == 0) size = omp_get_num_threads();
        work(omp_get_thread_num(), context);
    }
    return size;
}

#else
#include "poll.h"
#include "workers.h"

#include <sched.h>
#include <sys/stat.h>

/* How many calls in a row workers have to miss before OpenMP's threads are tried. It grows each time
 * those turn out to be late. */
#define LEAST_PATIENCE 2
#define MOST_PATIENCE 8192

/* Versions of gcc before 9 cannot end them. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 9
#define END_OPENMP_THREADS() ((void)0)
#else
#define END_OPENMP_THREADS() omp_pause_resource(omp_pause_soft, omp_get_initial_device())
#endif

/* Seconds; an awake thread begins sooner. */
#define LATE 2e-5

/* Of this thread: whether it uses OpenMP's threads, how many there are with it, and how many threads the
 * process had then. */
static _Thread_local struct {
    int is_openmp, missed, patience, size;
    long n_threads;
} choice = {0, 0, LEAST_PATIENCE, 0, 0};

/* Number of threads of this process, or 0 where that is unknown. */
static long n_threads_now(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) ? 0 : (long)tasks.st_nlink;
}

/* If threads have ended, a region might have to create them. */
int pepg_prefers_openmp(int team) {
    return choice.is_openmp && team <= choice.size && omp_get_level() == 0 &&
            n_threads_now() >= choice.n_threads;
}

static void choose(int is_openmp) {
    choice.is_openmp = is_openmp;
    if (!is_openmp && choice.patience < MOST_PATIENCE) choice.patience *= 2;
    if (is_openmp && choice.patience > LEAST_PATIENCE) choice.patience /= 2;
}

/* The region is as large as the one that was tried: threads that a smaller one leaves out would end, and
 * the other library would have to start them again. */
int pepg_run_on_openmp(int team, void (*work)(int worker, void *context), void *context) {
    const double began = seconds_now();
    double over = began;
    int size = 1;
#pragma omp parallel num_threads(choice.size > team ? choice.size : team)
    {
        const int worker = omp_get_thread_num();
        if (worker < team) work(worker, context);
        if (worker == 0) {
            size = omp_get_num_threads();
            over = seconds_now();
        }
    }
    const double ended = seconds_now();
    if (size < team)
        choose(0);
    else if (ended - began > LATE)
        choose(ended - over < 0.5 * (ended - began));
    return size < team ? size : team;
}

/* An empty region shows whether OpenMP's threads are awake. If it has to create them, then nothing else
 * in this thread uses them, and they are ended again: a child of a fork could not use OpenMP. */
static void try_openmp(int team) {
    const int most = omp_get_max_threads(), wanted = team > most ? team : most;
    const long before = n_threads_now();
    if (!before || omp_get_level() > 0 || 2 * team < wanted || !pepg_can_start(wanted - 1)) return;
    for (int i = 0; i < 1000 && n_threads_now() > before; ++i)
        sched_yield(); /* until those are gone */
    double over = 0.0;
    int size = 1;
#pragma omp parallel num_threads(wanted)
    if (omp_get_thread_num() == 0) {
        size = omp_get_num_threads();
        over = seconds_now();
    }
    const double waited = seconds_now() - over;
    if (n_threads_now() > before) {
        choice.patience = MOST_PATIENCE;
        END_OPENMP_THREADS();
        return;
    }
    choice.size = size, choice.n_threads = before;
    choose(size >= team && waited < LATE);
}

void pepg_learn_from_workers(int team, double seconds, int is_missed) {
    if (!is_missed) choice.missed = 0;
    if (!is_missed || seconds < LATE || ++choice.missed < choice.patience) return;
    choice.missed = 0;
    try_openmp(team);
}
#endif

#endif
