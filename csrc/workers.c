/* OpenMP runtimes end the process if a thread cannot be created. So these are POSIX threads, and the work
 * continues without one that cannot be created. */
#ifndef _WIN32
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

/* How many times a worker looks for its next job before it goes to sleep: for about 5 milliseconds, in
 * which it yields its processor to any other thread. */
#define LOOKS 10000

typedef struct pepg_worker {
    struct pepg_worker *next; /* in the list of idle ones, or of those hired for a job */
    int number;               /* in its job */
    _Atomic(pepg_job *) job;
    pthread_mutex_t lock;
    pthread_cond_t has_job;
} worker;

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static worker *idle_workers = NULL; /* the one that worked last comes first: its caches are warm */

static worker *take_idle(void) {
    pthread_mutex_lock(&list_lock);
    worker *const found = idle_workers;
    if (found) idle_workers = found->next;
    pthread_mutex_unlock(&list_lock);
    return found;
}

/* A worker that wakes up too late for a job looks for another one before it sleeps again: in a loop
 * of calls it is awake from then on. */
static pepg_job *next_job(worker *self) {
    for (pepg_job *job;;) {
        for (int looks = 0; looks < LOOKS && !atomic_load(&self->job); ++looks) sched_yield();
        if ((job = atomic_exchange(&self->job, NULL))) return job;
        pthread_mutex_lock(&self->lock);
        if (!atomic_load(&self->job)) pthread_cond_wait(&self->has_job, &self->lock);
        pthread_mutex_unlock(&self->lock);
    }
}

static void *work_for_good(void *argument) {
    worker *const self = argument;
    for (;;) {
        pepg_job *const job = next_job(self);
        job->work(self->number, job->context);
        atomic_fetch_sub(&job->working, 1);
    }
    return NULL;
}

/* The program's own threads handle signals, except for signals of a thread's own faults, which a
 * handler may report or repair. */
static int start_thread(pthread_t *thread, void *(*work)(void *), void *argument) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int failure = pthread_create(thread, NULL, work, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failure;
}

static worker *new_worker(void) {
    worker *const self = calloc(1, sizeof *self);
    pthread_t thread;
    if (!self) return NULL;
    atomic_init(&self->job, NULL);
    if (!pthread_mutex_init(&self->lock, NULL)) {
        if (!pthread_cond_init(&self->has_job, NULL)) {
            if (start_thread(&thread, work_for_good, self)) {
                pthread_detach(thread);
                return self;
            }
            pthread_cond_destroy(&self->has_job);
        }
        pthread_mutex_destroy(&self->lock);
    }
    free(self);
    return NULL;
}

int pepg_hire(pepg_job *job, int wanted) {
    int hired = 0;
    for (; hired < wanted; ++hired) {
        worker *one = take_idle();
        if (!one) one = new_worker();
        if (!one) break;
        one->number = hired + 1;
        one->next = job->hired;
        job->hired = one;
        atomic_fetch_add(&job->working, 1);
        pthread_mutex_lock(&one->lock);
        atomic_store(&one->job, job);
        pthread_cond_signal(&one->has_job);
        pthread_mutex_unlock(&one->lock);
    }
    return hired;
}

void pepg_dismiss(pepg_job *job) {
    for (worker *one = job->hired; one; one = one->next) {
        pepg_job *given = job;
        if (atomic_compare_exchange_strong(&one->job, &given, NULL))
            atomic_fetch_sub(&job->working, 1);
    }
}

void pepg_release(pepg_job *job) {
    pthread_mutex_lock(&list_lock);
    while (job->hired) {
        worker *const one = job->hired;
        job->hired = one->next;
        one->next = idle_workers;
        idle_workers = one;
    }
    pthread_mutex_unlock(&list_lock);
}

static void *wait_for_all(void *lock) {
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

int pepg_can_start(int n) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *const threads = malloc((size_t)n * sizeof *threads);
    int started = 0;
    if (!threads) return 0;
    pthread_mutex_lock(&lock);
    while (started < n && start_thread(threads + started, wait_for_all, &lock)) ++started;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < started; ++i) pthread_join(threads[i], NULL);
    free(threads);
    return started == n;
}

#else
typedef int pepg_no_workers; /* a unit needs a declaration */
#endif
