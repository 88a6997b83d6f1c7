/* Helper threads: created when they are first needed, asleep between jobs, and never ended. */
#ifndef PEPG_WORKERS_H
#define PEPG_WORKERS_H

#include <stdatomic.h>

/* A job for several threads. Each of them calls `work` once; `working` counts those that may still
 * do so or have not returned yet. It begins as {work, context}. The job belongs to the caller, who
 * hires, dismisses, waits until `working` is 0, and then releases. */
typedef struct {
    void (*work)(int worker, void *context);
    void *context;
    atomic_int working;
    struct pepg_worker *hired;
} pepg_job;

/* Give the job to up to `wanted` threads besides the caller, numbered from 1. Returns how many have
 * it: fewer, or none, if the system has no more threads. Must not be called in a forked child. */
int pepg_hire(pepg_job *job, int wanted);

/* Take the job back from threads that have not begun it because they are still waking up, so that the
 * caller need not wait for them. */
void pepg_dismiss(pepg_job *job);

/* Release the threads for other jobs. */
void pepg_release(pepg_job *job);

/* Whether the system can start this many more threads now. OpenMP ends the process if it cannot. */
int pepg_can_start(int n);

#endif
