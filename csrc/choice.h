/* Which threads work for the calls of a thread of the program: our workers, or OpenMP's threads. Part of
 * parallel.c.
 *
 * Workers cannot begin while other threads keep the processors busy. If those are OpenMP's, which spin
 * for some milliseconds after a parallel loop of numba or of the program, they can do the work themselves.
 * Each thread of the program chooses for its own calls, since it has OpenMP threads of its own. */
#ifndef PEPG_CHOICE_H
#define PEPG_CHOICE_H

#include <sys/stat.h>

/* How many calls in a row workers have to miss before OpenMP's threads are tried. It grows each time
 * those turn out to be late. */
#define LEAST_PATIENCE 2
#define MOST_PATIENCE 8192

/* Seconds; an awake thread begins sooner. */
#define LATE 2e-5

/* Of this thread: whether it uses OpenMP's threads, how many there are with it, and how many threads the
 * process had when they were tried. */
static _Thread_local struct {
    int is_openmp, missed, patience, size;
    long n_threads;
} choice = {0, 0, LEAST_PATIENCE, 0, 0};

static void choose(int is_openmp) {
    choice.is_openmp = is_openmp;
    if (!is_openmp && choice.patience < MOST_PATIENCE) choice.patience *= 2;
    if (is_openmp && choice.patience > LEAST_PATIENCE) choice.patience /= 2;
}

/* After a call on workers: whether it was one too many that they missed. */
static int is_patience_over(double seconds, int is_missed) {
    if (!is_missed) choice.missed = 0;
    if (!is_missed || seconds < LATE || ++choice.missed < choice.patience) return 0;
    choice.missed = 0;
    return 1;
}

/* Number of threads of this process, or 0 where that is unknown. */
static long n_threads_now(void) {
    struct stat tasks;
    return stat("/proc/self/task", &tasks) ? 0 : (long)tasks.st_nlink;
}

#endif
