/* Threads that lend a hand: made when they are first wanted, asleep between jobs, kept for good. */
#ifndef PEPG_WORKERS_H
#define PEPG_WORKERS_H

#include <stdatomic.h>

/* A job for several threads. Each of them calls `work` once; `working` counts those that have not
 * returned yet, and begins at 0. The job belongs to the caller, who waits until `working` is 0. */
typedef struct {
    void (*work)(int worker, void *context);
    void *context;
    atomic_int working;
} pepg_job;

/* Give the job to up to `wanted` threads besides the caller, numbered from 1. Returns how many have
 * it: fewer, or none, where the system has no more threads. Never to be called in a forked child. */
int pepg_hire(pepg_job *job, int wanted);

#endif
