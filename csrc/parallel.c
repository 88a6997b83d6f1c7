#include "parallel.h"

#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#ifndef _WIN32
#include <pthread.h>
#include <sched.h>
#define YIELD() sched_yield()
#else
#define YIELD() ((void)0)
#endif
#endif

/* A team costs a few microseconds to wake: below this much work it cannot pay. Measured, see
 * bench/README.md. */
#define WORTH_A_TEAM 10000.0

/* Where other programs use the processors too, a team member may be off its processor for a whole
 * time slice, and the others wait for it: 16 ms for 0.3 ms of work were seen. The thread that
 * opened the team notices such a wait and works alone for a while, longer after each. Results do
 * not depend on the number of threads, so nothing but time does. Work so large that such a wait is
 * small against it always gets its team. */
#define STALL_SECONDS 0.0005
#define NEVER_ALONE 50e6
#define SHORTEST_REST 0.01
#define LONGEST_REST 0.16

/* Beyond any machine this is for; libgomp ends the process when threads cannot be had. */
#define MOST_THREADS 1024

static int are_teams_forced = 0;
static _Thread_local int last_team = 1;

void pepg_force_teams(int forced) { are_teams_forced = forced; }
int pepg_last_team(void) { return last_team; }

#ifdef _OPENMP

/* libgomp's threads do not survive fork(), and a child that opens a parallel region waits for them
 * for ever: after a fork this process works on one thread. */
static int forked = 0;
static void note_fork(void) { forked = 1; }

#ifndef _WIN32
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(0, 0, note_fork); }
#endif

int pepg_openmp_version(void) { return _OPENMP; }

int pepg_available_threads(int n_threads) {
    if (forked || omp_in_parallel()) return 1;
    n_threads = n_threads > 0 ? n_threads : omp_get_max_threads();
    return n_threads < MOST_THREADS ? n_threads : MOST_THREADS;
}

#else

int pepg_openmp_version(void) { return 0; }

int pepg_available_threads(int n_threads) {
    (void)n_threads;
    return 1;
}

#endif

#ifdef _OPENMP

/* Until when the calling thread works alone, and for how long it will after the next stall;
 * seconds. */
static _Thread_local double rest_until = 0.0, next_rest = SHORTEST_REST;

static int is_resting(double work) {
    if (rest_until == 0.0 || work >= NEVER_ALONE) return 0;
    if (omp_get_wtime() < rest_until) return 1;
    rest_until = 0.0;
    return 0;
}

/* Seconds that teams have worked since the last stall: about what they saved. */
static _Thread_local double gained = 0.0;

/* A stall that teams have paid for since the one before, such as the first call after a while of
 * other things, is the price of waking them. Any other is a sign that they are not to be had. */
static void judge_wait(double now, double worked, double waited) {
    if (waited <= STALL_SECONDS) {
        gained += worked;
        if (next_rest > SHORTEST_REST) next_rest = next_rest / 2;
        return;
    }
    const int is_paid_for = gained > waited;
    gained = 0.0;
    if (is_paid_for) return;
    rest_until = now + next_rest;
    next_rest = next_rest < LONGEST_REST ? 2 * next_rest : LONGEST_REST;
}

/* Tasks are handed out in small runs, so that a thread that comes late leaves the work to the
 * others. */
static void run_on_team(ptrdiff_t n_tasks, int team, pepg_task *task, void *context,
                        void (*idle)(void *context)) {
    const ptrdiff_t share = n_tasks / (8 * (ptrdiff_t)team), run = share > 1 ? share : 1;
    const double asked = omp_get_wtime();
    double started = asked, done = asked;
    atomic_int working = 0;
#pragma omp parallel num_threads(team)
    {
        const int worker = omp_get_thread_num();
        if (worker == 0) {
            started = omp_get_wtime();
            atomic_fetch_add(&working, omp_get_num_threads() - 1);
        }
#pragma omp for schedule(dynamic, run) nowait
        for (ptrdiff_t i = 0; i < n_tasks; ++i) task(i, worker, context);
        /* A thread that was asleep may have been woken on this very processor, where it cannot run
         * while this one spins at the barrier, as OpenMP would: 8 ms were seen. So give way until
         * all are through. */
        if (worker > 0) {
            atomic_fetch_sub(&working, 1);
        } else {
            done = omp_get_wtime();
            while (atomic_load(&working) > 0) {
                if (idle) idle(context);
                YIELD();
            }
        }
    }
    if (idle) return;
    /* The others may still be at their last run of tasks: that much is no stall. */
    const double last_run = (done - started) * team * (double)run / (double)n_tasks;
    const double now = omp_get_wtime(), at_end = now - done - 2 * last_run;
    judge_wait(now, done - started, (started - asked) + (at_end > 0 ? at_end : 0));
}

#else

static int is_resting(double work) {
    (void)work;
    return 0;
}

#endif

int pepg_team(int n_threads, double work, ptrdiff_t n_tasks) {
    if (n_threads == 1 || n_tasks < 2) return 1;
    if (!are_teams_forced && (work < WORTH_A_TEAM || is_resting(work))) return 1;
    const int threads = pepg_available_threads(n_threads);
    return (ptrdiff_t)threads < n_tasks ? threads : (int)n_tasks;
}

void pepg_parallel_polled(ptrdiff_t n_tasks, int team, pepg_task *task, void *context,
                          void (*idle)(void *context)) {
    last_team = team;
#ifdef _OPENMP
    if (team > 1) {
        run_on_team(n_tasks, team, task, context, idle);
        return;
    }
#else
    (void)idle;
#endif
    for (ptrdiff_t i = 0; i < n_tasks; ++i) task(i, 0, context);
}

void pepg_parallel(ptrdiff_t n_tasks, int team, pepg_task *task, void *context) {
    pepg_parallel_polled(n_tasks, team, task, context, NULL);
}
