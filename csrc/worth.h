/* Whether a team is worth its cost, by the time that the calls themselves take. Part of parallel.c.
 *
 * That depends on the machine and the moment more than on the work: on how long the threads take to wake
 * up, on who else uses the processors, and on how far apart the processors are. A virtual machine's may
 * share a cache in one second and none in the next. So a thread of the program compares both ways for each
 * of its kinds of calls. */
#ifndef PEPG_WORTH_H
#define PEPG_WORTH_H

#include "poll.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A way is used for this many calls in a row. The data of the first ones may be in the wrong caches, and
 * threads asleep; the median of the others counts. */
#define WAY_CALLS 8
#define WAY_COUNTED 5

/* The second window is alone, the third with the team again, whose threads may not have been awake in the
 * first. From then on the faster way is used, and the other one in one of so many windows. */
#define WAY_WINDOWS 64

/* Alone must be faster by this factor: late threads cost little, but are awake for the next calls. */
#define WORTH_STAYING_ALONE 0.97

/* Seconds. Longer calls always have a team: it nearly always pays, and trying without it would take long. */
#define LONGEST_COMPARED 1e-3

/* Kinds of calls that a thread of the program remembers. */
#define KINDS 32

/* A kind of call, the calls and windows so far, and the typical seconds of a call with a team and alone. */
typedef struct {
    double work;
    ptrdiff_t n_tasks;
    int threads, is_alone;
    unsigned calls, windows;
    double took[WAY_COUNTED], typical[2];
} worth;

static _Thread_local worth known[KINDS];

static worth *worth_of(double work, ptrdiff_t n_tasks, int threads) {
    uint64_t bits;
    memcpy(&bits, &work, sizeof bits);
    worth *const found =
            known + ((bits + (uint64_t)n_tasks) * UINT64_C(0x9E3779B97F4A7C15) >> 32) % KINDS;
    if (found->work != work || found->n_tasks != n_tasks || found->threads != threads)
        *found = (worth){.work = work, .n_tasks = n_tasks, .threads = threads};
    return found;
}

/* Sorts them. */
static double median_of(double took[WAY_COUNTED]) {
    for (int i = 1; i < WAY_COUNTED; ++i) {
        const double one = took[i];
        int at = i;
        for (; at > 0 && took[at - 1] > one; --at) took[at] = took[at - 1];
        took[at] = one;
    }
    return took[WAY_COUNTED / 2];
}

/* Record what a call took, and choose the way of the next window when one is over. */
static void note_call(worth *of, double seconds) {
    const int counted = (int)of->calls++ - (WAY_CALLS - WAY_COUNTED);
    if (counted >= 0) of->took[counted] = seconds;
    if (of->calls < WAY_CALLS) return;
    of->typical[of->is_alone] = median_of(of->took);
    of->calls = 0;
    const unsigned window = ++of->windows;
    const double team = of->typical[0], alone = of->typical[1];
    const int is_better = alone > 0.0 && alone < WORTH_STAYING_ALONE * team;
    const int is_trial = window % WAY_WINDOWS == 0 || window == 1 || (window == 2 && is_better);
    of->is_alone = is_trial ? !is_better && team < LONGEST_COMPARED : is_better;
}

#endif
