/* The only access to other threads. */
#ifndef PEPG_PARALLEL_H
#define PEPG_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

/* A parameter that a function has only because its type does. */
#define UNUSED __attribute__((unused))

/* One task of many; `worker` counts from 0 to the team's size. Tasks own disjoint outputs. */
typedef void pepg_task(ptrdiff_t task, int worker, void *context);

/* Threads that a call may use: `n_threads`, or OpenMP's usual number if that is < 1; 1 without
 * OpenMP, inside a parallel region, and in a forked child. */
int pepg_available_threads(int n_threads);

/* Threads worth using for `work` elementary operations (nanoseconds, roughly) split into `n_tasks`.
 */
int pepg_team(int n_threads, double work, ptrdiff_t n_tasks);

/* The same, or 1 if this thread's earlier calls of that task were faster alone (worth.h). Its next call of
 * pepg_parallel must be the one that was asked for: it is timed. Calls of two tasks that share data have
 * the same `whole`, other than 0: the second call is made in the way of the first one, and their times
 * count together. */
int pepg_tried_team(int n_threads, double work, ptrdiff_t n_tasks, pepg_task *task, uint64_t whole);

/* Run tasks 0 .. n_tasks - 1 on `team` threads, or on as many as the system can create; if that is
 * one, on the calling thread and in order. */
void pepg_parallel(ptrdiff_t n_tasks, int team, pepg_task *task, void *context);

/* The same for long tasks of unequal length: while the calling thread waits for the others, it calls
 * `idle` repeatedly. */
void pepg_parallel_polled(
        ptrdiff_t n_tasks, int team, pepg_task *task, void *context, void (*idle)(void *context));

/* For tests: the number of threads that this thread's last pepg_parallel obtained; and teams that are
 * opened for any work, and waited for while they wake up (1: of our own threads, 2: of OpenMP's). */
int pepg_last_team(void);
void pepg_force_teams(int forced);

/* For tests: whether this thread's next call would use OpenMP's threads for such a team; and what it
 * learns from a call that took so many seconds, of which the workers missed most or did not. */
int pepg_prefers_openmp(int team);
void pepg_learn_from_workers(int team, double seconds, int is_missed);

/* For tests: a call that would take so many seconds with a team and alone; returns the team it had. */
int pepg_learn_from_call(int n_threads, double work, ptrdiff_t n_tasks, pepg_task *task,
        uint64_t whole, double with_team, double alone);

/* OpenMP's version date (201511 for 4.5), or 0 if this was built without. */
int pepg_openmp_version(void);

#endif
