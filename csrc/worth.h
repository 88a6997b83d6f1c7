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

/* The other way is tried in windows 1, 4 and 16, counted from 0, and in every so many. A trial ends with a
 * call that takes more than so many times as long as the better way, and trials of such calls are rarer. */
#define TRIAL_WINDOWS 64u
#define MUCH_SLOWER 2.0

/* Alone must be faster by this factor: late threads cost little, but are awake for the next calls. */
#define WORTH_STAYING_ALONE 0.97

/* Seconds. What takes longer with a team is not tried alone. */
#define LONGEST_COMPARED 2e-3

/* Kinds of calls that a thread of the program remembers. */
#define KINDS 64

enum { WITH_TEAM, ALONE };

typedef struct {
    /* The kind of call. */
    pepg_task *task;
    double work;
    ptrdiff_t n_tasks;
    int threads;
    /* The better way, that of this call (the other one in a trial), and what each typically takes, in
     * seconds; 0 if it has not been used. */
    int better, way;
    double typical[2];
    /* The calls of this window, what they took, and whether its trial has ended early. */
    int calls, has_ended;
    double took[WAY_COUNTED];
    /* The windows so far, and for how many the better way has been the slower one. */
    unsigned windows, slower;
} worth;

static _Thread_local worth known[KINDS];

/* The mixing function of SplitMix64 (Steele, Lea and Flood 2014), so that all bits count. */
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
        *found = (worth){.task = task, .work = work, .n_tasks = n_tasks, .threads = threads};
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

static int is_trial_due(const worth *of) {
    const double team = of->typical[WITH_TEAM], alone = of->typical[ALONE];
    if (of->better == WITH_TEAM && team > LONGEST_COMPARED) return 0;
    if (of->windows == 1 || of->windows == 4 || of->windows == 16) return 1;
    unsigned every = TRIAL_WINDOWS;
    const double fast = alone < team ? alone : team, slow = alone < team ? team : alone;
    for (double times = MUCH_SLOWER; fast > 0.0 && slow > times * fast && times < 1e3; times *= 2)
        every *= 2;
    return of->windows % every == 0;
}

/* After a window. A trial decides at once, while one bad window of the better way does not. */
static void choose_way(worth *of) {
    const double team = of->typical[WITH_TEAM], alone = of->typical[ALONE];
    const int seems = alone > 0.0 && alone < WORTH_STAYING_ALONE * team ? ALONE : WITH_TEAM;
    of->slower = seems == of->better ? 0 : of->slower + 1;
    if (of->slower == 2 || (of->slower && of->way != of->better)) {
        of->better = seems;
        of->slower = 0;
    }
    ++of->windows;
    of->way = is_trial_due(of) ? !of->better : of->better;
}

/* Record what a call took. */
static void note_call(worth *of, double seconds) {
    const int counted = of->calls++ - (WAY_CALLS - WAY_COUNTED);
    if (counted >= 0) of->took[counted] = seconds;
    if (of->way != of->better && seconds > MUCH_SLOWER * of->typical[of->better]) {
        of->typical[of->way] = seconds;
        of->way = of->better;
        of->has_ended = 1;
    }
    if (of->calls < WAY_CALLS) return;
    if (!of->has_ended) of->typical[of->way] = median_of(of->took);
    of->calls = of->has_ended = 0;
    choose_way(of);
}

/* A call that was asked for and is not made yet, or the first of two parts of a whole. */
typedef struct {
    worth *of;
    pepg_task *task;
    uint64_t whole; /* 0 if this call completes it */
    double seconds; /* so far */
} timed_call;

static _Thread_local timed_call asked, begun;

/* The way of the call that is asked for. The parts of a whole must not choose for themselves: the time of
 * each depends on where the other one left the data, and only a team for both, or for neither, may be
 * faster than what there is. */
static int way_of(pepg_task *task, double work, ptrdiff_t n_tasks, int threads, uint64_t whole) {
    const int is_known = begun.of && begun.of->task == begun.task; /* else its place was taken */
    if (is_known && whole == begun.whole && task != begun.task) {
        asked = begun;
        asked.whole = 0;
    } else {
        if (is_known && whole) note_call(begun.of, begun.seconds); /* it had no second part */
        asked = (timed_call){worth_of(task, work, n_tasks, threads), task, whole, 0.0};
    }
    if (whole) begun.of = NULL;
    return asked.of->way;
}

/* Record what the call that was asked for took. */
static void note_asked(double seconds) {
    timed_call call = asked;
    asked.of = NULL;
    if (!call.of || seconds <= 0.0) return; /* the clock is coarse, or was set */
    call.seconds += seconds;
    if (call.whole)
        begun = call;
    else
        note_call(call.of, call.seconds);
}

#endif
