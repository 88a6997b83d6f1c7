/* Whether a team is worth its cost, by the time that the calls themselves take. Part of parallel.c.
 *
 * That depends on the machine and the moment more than on the work: on how long the threads take to wake
 * up, on who else uses the processors, and on how far apart the processors are. A virtual machine's may
 * share a cache in one second and none in the next. So each thread of the program compares both ways, for
 * each kind of call. */
#ifndef PEPG_WORTH_H
#define PEPG_WORTH_H

#include "parallel.h"
#include "poll.h"

#include <stdint.h>
#include <string.h>

/* A way is used for this many calls in a row, a window. The data of the first ones may be in the wrong
 * caches, and threads asleep; the median of the others counts. */
#define WAY_CALLS 8
#define WAY_COUNTED 5

/* A trial of the other way ends with its first call if that takes so many times as long. */
#define MUCH_SLOWER 2.0

/* Windows between two trials: few at first and after a change, then twice as many each time, up to this
 * number times the slower way's time divided by the faster one's, so that trials cost the same share. */
#define MOST_WINDOWS 64.0

/* Alone must be faster by this factor: late threads cost little, but are awake for the next calls. */
#define WORTH_STAYING_ALONE 0.97

/* Seconds. Calls that take longer with a team are not tried alone. */
#define LONGEST_COMPARED 1e-3

/* Kinds of calls that a thread of the program remembers. */
#define KINDS 64

enum { WITH_TEAM, ALONE };

typedef struct {
    /* The kind of call. */
    pepg_task *task;
    double work;
    ptrdiff_t n_tasks;
    int threads;
    /* The better way, that of this window (the other one in a trial), and what each typically takes, in
     * seconds; 0 if it has not been used. */
    int better, way;
    double typical[2];
    /* The calls of this window, and what they took. */
    int calls;
    double took[WAY_COUNTED];
    /* Windows between two trials, and until the next one. */
    double gap, left;
} worth;

static _Thread_local worth known[KINDS];

static uint64_t mixed(uint64_t bits) {
    bits = (bits ^ bits >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94D049BB133111EB);
    return bits ^ bits >> 31;
}

/* What is known of a kind; the place of another kind that has the same one is taken. */
static worth *worth_of(pepg_task *task, double work, ptrdiff_t n_tasks, int threads) {
    uint64_t bits;
    memcpy(&bits, &work, sizeof bits);
    bits = mixed(mixed(bits) ^ (uint64_t)(uintptr_t)task) ^ (uint64_t)threads;
    worth *const found = known + mixed(bits ^ (uint64_t)n_tasks << 16) % KINDS;
    if (found->task != task || found->work != work || found->n_tasks != n_tasks ||
            found->threads != threads)
        *found = (worth){
                .task = task, .work = work, .n_tasks = n_tasks, .threads = threads, .gap = 1};
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

/* After a window: the better way, and the way of the next window. */
static void choose_way(worth *of) {
    const double team = of->typical[WITH_TEAM], alone = of->typical[ALONE];
    const int better = alone > 0.0 && alone < WORTH_STAYING_ALONE * team ? ALONE : WITH_TEAM;
    if (better != of->better) of->gap = 1;
    of->better = of->way = better;
    if (--of->left > 0 || (better == WITH_TEAM && team > LONGEST_COMPARED)) return;
    const double ratio = better == ALONE ? team / alone : alone > team ? alone / team : 1.0;
    const double most = MOST_WINDOWS * ratio;
    of->way = !better;
    of->left = of->gap + 1; /* the trial counts, too */
    of->gap = 2 * of->gap < most ? 2 * of->gap : most;
}

/* Record what a call took. */
static void note_call(worth *of, double seconds) {
    const int counted = of->calls++ - (WAY_CALLS - WAY_COUNTED);
    const double other = of->typical[!of->way];
    const int is_over = of->way != of->better && other > 0.0 && seconds > MUCH_SLOWER * other;
    if (counted >= 0) of->took[counted] = seconds;
    if (of->calls < WAY_CALLS && !is_over) return;
    of->typical[of->way] = is_over ? seconds : median_of(of->took);
    of->calls = 0;
    choose_way(of);
}

#endif
