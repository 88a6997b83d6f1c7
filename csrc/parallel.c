#include "parallel.h"
#include "strict.h"

#ifdef _OPENMP
#include "poll.h"
#include "workers.h"
#include "worth.h"

#include <omp.h>
#ifndef _WIN32
#include "choice.h"

#include <pthread.h>
#include <sched.h>
#define YIELD() sched_yield()
#else
#define YIELD() ((void)0)
#endif
#endif

/* Waking a team costs a few microseconds, so for less work than this it cannot pay. Measured, see
 * bench/README.md. */
#define WORTH_A_TEAM 10000.0

/* More than any machine has. */
#define MOST_THREADS 1024

static int are_teams_forced = 0;
static _Thread_local int last_team = 1;

/* Values of `are_teams_forced` besides 0: our own workers, or OpenMP's threads. */
enum { WORKERS = 1, OPENMP = 2 };

void pepg_force_teams(int forced) { are_teams_forced = forced; }
int pepg_last_team(void) { return last_team; }

#ifdef _OPENMP

/* Only the thread that calls fork() survives it, and waiting for the others would never end: after a
 * fork this process works on one thread. */
static int forked = 0;
static void note_fork(void) { forked = 1; }

#ifndef _WIN32
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(0, 0, note_fork); }
#endif

int pepg_openmp_version(void) { return _OPENMP; }

/* Whether this thread works on a task, which must not open another team. */
static _Thread_local int is_in_team = 0;

int pepg_available_threads(int n_threads) {
    if (forked || is_in_team || omp_in_parallel()) return 1;
    n_threads = n_threads > 0 ? n_threads : omp_get_max_threads();
    const int limit = omp_get_thread_limit(), most = limit < MOST_THREADS ? limit : MOST_THREADS;
    return n_threads < most ? n_threads : most;
}

#else

int pepg_openmp_version(void) { return 0; }

int pepg_available_threads(int n_threads) {
    (void)n_threads;
    return 1;
}

#endif

static void run_alone(ptrdiff_t n_tasks, pepg_task *task, void *context) {
    for (ptrdiff_t i = 0; i < n_tasks; ++i) task(i, 0, context);
}

#ifdef _OPENMP

/* With more threads than this, some share a range. Each counter has a cache line of its own. */
#define MOST_RANGES 64
#define CACHE_LINE 64

typedef struct {
    _Alignas(CACHE_LINE) _Atomic ptrdiff_t next;
} range;

typedef struct {
    ptrdiff_t n_tasks, run;
    pepg_task *task;
    void *context;
    _Atomic ptrdiff_t helped; /* number of tasks that other threads have taken */
    int n_ranges;
    range ranges[MOST_RANGES];
} shared_tasks;

static ptrdiff_t first_of(const shared_tasks *tasks, int range) {
    return tasks->n_tasks / tasks->n_ranges * range +
            tasks->n_tasks % tasks->n_ranges * range / tasks->n_ranges;
}

static void share_out(shared_tasks *tasks, int team) {
    const ptrdiff_t share = tasks->n_tasks / (8 * (ptrdiff_t)team);
    tasks->run = share > 1 ? share : 1;
    tasks->n_ranges = team < MOST_RANGES ? team : MOST_RANGES;
    for (int i = 0; i < tasks->n_ranges; ++i)
        atomic_init(&tasks->ranges[i].next, first_of(tasks, i));
}

/* Takes what is left of a range, in small runs, so that a late thread leaves the work to the others. Returns the
 * number of tasks. */
static ptrdiff_t take_range(shared_tasks *tasks, int range, int worker) {
    const ptrdiff_t last = first_of(tasks, range + 1);
    ptrdiff_t taken = 0;
    _Atomic ptrdiff_t *const next = &tasks->ranges[range].next;
    for (;;) {
        if (atomic_load_explicit(next, memory_order_relaxed) >= last) return taken;
        const ptrdiff_t first = atomic_fetch_add(next, tasks->run);
        if (first >= last) return taken;
        const ptrdiff_t end = last - first < tasks->run ? last : first + tasks->run;
        taken += end - first;
        for (ptrdiff_t i = first; i < end; ++i) tasks->task(i, worker, tasks->context);
    }
}

/* A worker begins with the same range in each call, whose data may still be in its own caches: to fetch
 * them from another core's may take longer than the work. Then it helps with the other ranges. */
static void take_tasks(int worker, void *context) {
    shared_tasks *const tasks = context;
    ptrdiff_t taken = 0;
    is_in_team = 1;
    for (int i = 0; i < tasks->n_ranges; ++i)
        taken += take_range(tasks, (worker + i) % tasks->n_ranges, worker);
    is_in_team = 0;
    if (worker > 0) atomic_fetch_add(&tasks->helped, taken);
}

#ifndef _WIN32
/* Ends the threads that OpenMP keeps for this one; gcc before version 9 has no function for it. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 9
#define END_OPENMP_THREADS() ((void)0)
#else
#define END_OPENMP_THREADS() omp_pause_resource(omp_pause_soft, omp_get_initial_device())
#endif

/* If threads have ended since OpenMP's were tried, a region might have to create them. */
int pepg_prefers_openmp(int team) {
    return choice.is_openmp && team <= choice.size && omp_get_level() == 0 &&
            n_threads_now() >= choice.n_threads;
}

/* The region is as large as the one that was tried: threads that a smaller one leaves out would end, and
 * the other library would have to start them again. */
static int run_on_openmp(shared_tasks *tasks, int team) {
    const double began = seconds_now();
    double over = began;
    int size = 1;
#pragma omp parallel num_threads(choice.size > team ? choice.size : team)
    {
        const int worker = omp_get_thread_num();
        if (worker < team) take_tasks(worker, tasks);
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
    if (is_patience_over(seconds, is_missed)) try_openmp(team);
}

/* Returns the size of the team. A thread that has not begun when the caller has no more tasks is still
 * asleep: on some machines, waking up takes a tick of the scheduler, which is much longer than most
 * calls. The caller waits only for threads that have begun. Such a thread may be assigned to the
 * caller's processor, where it cannot run while the caller spins: so the caller yields. If `idle` or a
 * task forked, there is no thread to wait for in the child. */
static int run_on_workers(shared_tasks *tasks, int team, void (*idle)(void *context)) {
    pepg_job job = {.work = take_tasks, .context = tasks};
    const int size = 1 + pepg_hire(&job, team - 1);
    take_tasks(0, tasks);
    if (!are_teams_forced) pepg_dismiss(&job);
    while (atomic_load(&job.working) > 0 && !forked) {
        if (idle) idle(tasks->context);
        YIELD();
    }
    if (!forked) pepg_release(&job);
    return size;
}

static int run_on_team(shared_tasks *tasks, int team, void (*idle)(void *context)) {
    /* Long tasks are the user's own functions: these may fork, and are not a matter of microseconds. */
    if (idle || are_teams_forced == WORKERS) return run_on_workers(tasks, team, idle);
    if (are_teams_forced == OPENMP || pepg_prefers_openmp(team)) return run_on_openmp(tasks, team);
    const double began = seconds_now();
    const int size = run_on_workers(tasks, team, NULL);
    const int is_missed = 8 * atomic_load(&tasks->helped) < tasks->n_tasks;
    if (size > 1) pepg_learn_from_workers(team, seconds_now() - began, is_missed);
    return size;
}
#else
static int run_on_team(shared_tasks *tasks, int team, UNUSED void (*idle)(void *context)) {
    int size = 1;
#pragma omp parallel num_threads(team)
    {
        if (omp_get_thread_num() == 0) size = omp_get_num_threads();
        take_tasks(omp_get_thread_num(), tasks);
    }
    return size;
}
#endif

/* Returns how many threads there were. */
static int run_tasks(
        ptrdiff_t n_tasks, int team, pepg_task *task, void *context, void (*idle)(void *context)) {
    shared_tasks tasks = {.n_tasks = n_tasks, .task = task, .context = context};
    share_out(&tasks, team);
    team = run_on_team(&tasks, team, idle);
    if (forked) run_alone(n_tasks, task, context); /* work that other threads had begun is lost */
    return team;
}

#endif

int pepg_team(int n_threads, double work, ptrdiff_t n_tasks) {
    if (n_threads == 1 || n_tasks < 2) return 1;
    if (!are_teams_forced && work < WORTH_A_TEAM) return 1;
    const int threads = pepg_available_threads(n_threads);
    return (ptrdiff_t)threads < n_tasks ? threads : (int)n_tasks;
}

int pepg_tried_team(int n_threads, double work, ptrdiff_t n_tasks, UNUSED pepg_task *task,
        UNUSED uint64_t whole) {
    const int team = pepg_team(n_threads, work, n_tasks);
#ifdef _OPENMP
    asked.of = NULL;
    if (team > 1 && !are_teams_forced && way_of(task, work, n_tasks, team, whole) == ALONE)
        return 1;
#endif
    return team;
}

int pepg_learn_from_call(int n_threads, double work, ptrdiff_t n_tasks, pepg_task *task,
        uint64_t whole, UNUSED double with_team, UNUSED double alone) {
    const int team = pepg_tried_team(n_threads, work, n_tasks, task, whole);
#ifdef _OPENMP
    note_asked(team > 1 ? with_team : alone);
#endif
    return team;
}

void pepg_parallel_polled(ptrdiff_t n_tasks, int team, pepg_task *task, void *context,
        UNUSED void (*idle)(void *context)) {
    last_team = team;
#ifdef _OPENMP
    if (team > 1) {
        last_team = run_tasks(n_tasks, team, task, context, idle);
        return;
    }
#endif
    run_alone(n_tasks, task, context);
}

void pepg_parallel(ptrdiff_t n_tasks, int team, pepg_task *task, void *context) {
#ifdef _OPENMP
    if (asked.of) {
        const double began = seconds_now();
        pepg_parallel_polled(n_tasks, team, task, context, NULL);
        note_asked(seconds_now() - began);
        return;
    }
#endif
    pepg_parallel_polled(n_tasks, team, task, context, NULL);
}
