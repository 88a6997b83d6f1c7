/* The C level on its own: every public function at the edges of its blocks, against formulas written out below, on each
 * instruction set, alone and in teams, from several threads at once. For sanitizers, valgrind and machines without
 * Python; `tests/native/build` makes the program.
 *
 *   test_kernels [small] [nofork]
 *
 * Every array is an allocation of its own of exactly the size that pepg_fast.h asks for, so that a read or write
 * beyond it is seen. Prints the number of checks, and each that failed; the exit status is 1 if one did.
 */
#include "digest.h"
#include "dispatch.h"
#include "parallel.h"
#include "pepg_fast.h"
#include "walk.h"
#include "split.h"
#include "stores.h"
#include "workers.h"

#include <float.h>
#include <math.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static atomic_long n_checks, n_failed;
static int is_small = 0;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        atomic_fetch_add(&n_checks, 1);                                                            \
        if (!(condition)) {                                                                        \
            atomic_fetch_add(&n_failed, 1);                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

/* ---- helpers ---- */

/* Structs as arguments. */
#define DRAW(n_pairs, dim, key, generation, first_pair, noise, epsilon)                            \
    (&(pepg_draw){n_pairs, dim, key, generation, first_pair, noise, epsilon})
#define ADAM_RULE(alpha_, beta_1_, beta_2_, epsilon_, t_, m_, v_)                                  \
    (&(pepg_step_rule){.kind = PEPG_ADAM,                                                          \
            .eps_hat = 1,                                                                          \
            .alpha = alpha_,                                                                       \
            .beta_1 = beta_1_,                                                                     \
            .beta_2 = beta_2_,                                                                     \
            .epsilon = epsilon_,                                                                   \
            .t = (t_) - 1,                                                                         \
            .m = m_,                                                                               \
            .v = v_})
#define VELOCITY_RULE(rule, alpha_, momentum_, max_speed_, velocity_)                              \
    (&(pepg_step_rule){.kind = rule,                                                               \
            .alpha = alpha_,                                                                       \
            .momentum = momentum_,                                                                 \
            .max_speed = max_speed_,                                                               \
            .velocity = velocity_})
#define SIGMA_RULE(rate, change, minimum, maximum, limits, stride)                                 \
    (&(pepg_sigma_rule){rate, change, minimum, maximum, limits, stride})
#define NETWORK(n_layers, sizes, bias, hidden, output)                                             \
    (&(pepg_network){n_layers, bias, hidden, output, sizes})
#define ENVIRONMENT(reset_function, step_function, data_, numbers, longest)                        \
    (&(pepg_environment){.size = sizeof(pepg_environment),                                         \
            .reset = reset_function,                                                               \
            .step = step_function,                                                                 \
            .data = data_,                                                                         \
            .state_size = numbers,                                                                 \
            .max_steps = longest})

static void *room(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) abort();
    memset(p, 0xA5, bytes);
    return p;
}

/* A number from -1 to 1, a function of i alone. */
static double number(uint64_t i) {
    i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((i ^ (i >> 31)) >> 11) * 0x1p-52 - 1.0;
}

static uint64_t hash(uint64_t so_far, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; ++i) so_far = (so_far ^ p[i]) * UINT64_C(0x100000001b3);
    return so_far;
}

/* ---- formulas ---- */

static void reference_philox(uint32_t x[4], uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = UINT64_C(0xD2511F53) * x[0], b = UINT64_C(0xCD9E8D57) * x[2];
        const uint32_t y[4] = {(uint32_t)(b >> 32) ^ x[1] ^ k0, (uint32_t)b,
                (uint32_t)(a >> 32) ^ x[3] ^ k1, (uint32_t)a};
        memcpy(x, y, sizeof y);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static double reference_normal(uint64_t key, uint64_t generation, uint64_t pair, uint64_t j) {
    uint32_t x[4] = {
            (uint32_t)(j / 4), (uint32_t)pair, (uint32_t)generation, (uint32_t)(generation >> 32)};
    reference_philox(x, key);
    const uint32_t *w = x + j % 4 / 2 * 2;
    const double radius = sqrt(-2.0 * log((w[0] + 0.5) / 4294967296.0));
    const double angle = 1.5707963267948966 * (double)(int32_t)w[1] / 2147483648.0;
    return j % 2 ? radius * sin(angle) : radius * cos(angle) * (w[1] & 1 ? -1.0 : 1.0);
}

static double activated(int activation, double x) {
    switch (activation) {
    case PEPG_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case PEPG_TANH: return tanh(x);
    case PEPG_RELU: return x > 0 ? x : 0;
    default: return x;
    }
}

/* ---- functions of one width ---- */

static void check_philox(void) {
    for (ptrdiff_t n = 1; n < 70; n = n * 3 / 2 + 1) {
        uint32_t *counters = room((size_t)n * 16), *words = room((size_t)n * 16);
        for (ptrdiff_t i = 0; i < 4 * n; ++i)
            counters[i] = (uint32_t)(4294967295.0 * fabs(number((uint64_t)i)));
        CHECK(pepg_philox4x32(n, counters, UINT64_C(0xfedcba9876543210), words) == PEPG_OK, "-");
        for (ptrdiff_t i = 0; i < n; ++i) {
            reference_philox(counters + 4 * i, UINT64_C(0xfedcba9876543210));
            CHECK(!memcmp(counters + 4 * i, words + 4 * i, 16), "counter %td of %td", i, n);
        }
        free(counters);
        free(words);
    }
}

/* The noise of a seed never changes: a change needs a line "bits changed" in the changelog. */
static void check_stream(void) {
    enum { PAIRS = 3, DIM = 1030 };
    float *noise = room(PAIRS * DIM * sizeof(float));
    CHECK(pepg_normals_f32(PAIRS, DIM, UINT64_C(0xfedcba9876543210), 12345678901, 7, noise, 1) ==
                    PEPG_OK,
            "-");
    const uint64_t bits = hash(0, noise, PAIRS * DIM * sizeof(float));
    CHECK(bits == UINT64_C(0xdcd58d15163bf679), "the stream of noise: %#llx",
            (unsigned long long)bits);
    free(noise);
}

/* Digests at the edges of rows and leaves, which are the same everywhere and in every team. */
static void check_digest(void) {
    static const ptrdiff_t sizes[] = {0, 1, 255, 256, 257, 65535, 65536, 65537, 200001};
    uint64_t bits = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
        unsigned char *data = room((size_t)sizes[s]);
        uint32_t first[4], digest[4];
        for (ptrdiff_t i = 0; i < sizes[s]; ++i) data[i] = (unsigned char)(i * i >> 3);
        for (int threads = 1; threads <= 4; ++threads) {
            CHECK(pepg_digest(sizes[s], data, digest, threads) == PEPG_OK, "-");
            if (threads == 1) memcpy(first, digest, sizeof first);
            CHECK(!memcmp(first, digest, sizeof first), "%td, %d threads", sizes[s], threads);
        }
        bits = hash(bits, first, sizeof first);
        if (sizes[s]) {
            data[sizes[s] - 1] ^= 128;
            CHECK(pepg_digest(sizes[s], data, digest, 1) == PEPG_OK, "-");
            CHECK(memcmp(first, digest, sizeof first), "the last bit of %td", sizes[s]);
        }
        free(data);
    }
    CHECK(bits == UINT64_C(0xe5ef11fa838a2261), "digests: %#llx", (unsigned long long)bits);
    uint32_t digest[4];
    CHECK(pepg_digest(0, NULL, digest, 1) == PEPG_OK, "-");
    CHECK(pepg_digest(-1, &bits, digest, 1) == PEPG_EINVAL, "-");
    CHECK(pepg_digest(1, NULL, digest, 1) == PEPG_EINVAL, "-");
    CHECK(pepg_digest(8, &bits, NULL, 1) == PEPG_EINVAL, "-");
}

static void check_ranks(void) {
    static const ptrdiff_t sizes[] = {2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127,
            128, 129, 383, 384, 385, 1000};
    static const double distinct[] = {1, 2, 5, 1e9, 1e9, 5};
    /* Beside a large number, float32 cannot tell the others apart. */
    static const double above[] = {0, 0, 0, 0, 0x1p40, 0x1p40};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s)
        for (int d = 0; d < 6; ++d) {
            const ptrdiff_t n = sizes[s];
            double *x = room((size_t)n * 8), *shaped = room((size_t)n * 8);
            void *work = room(pepg_centered_ranks_work_size(n));
            for (ptrdiff_t i = 0; i < n; ++i)
                x[i] = above[d] + floor(number((uint64_t)(i + 7 * d)) * distinct[d]);
            if (n > 8) x[1] = INFINITY, x[5] = -INFINITY, x[7] = -0.0, x[3] = 0.0;
            if (n > 8 && d % 2) x[n - 1] = INFINITY, x[n - 2] = -INFINITY; /* ties at the ends */
            CHECK(pepg_centered_ranks(n, x, shaped, work) == PEPG_OK, "-");
            for (ptrdiff_t i = 0; i < n; ++i) {
                double below = 0, up_to = 0;
                for (ptrdiff_t j = 0; j < n; ++j) below += x[j] < x[i], up_to += x[j] <= x[i];
                const double wanted = (below + up_to - 1) / 2 / (double)(n - 1) - 0.5;
                CHECK(fabs(shaped[i] - wanted) < 1e-15, "%td of %td: %g, wanted %g", i, n,
                        shaped[i], wanted);
            }
            for (ptrdiff_t at = 0; at < n; at += n / 2) {
                const double was = x[at];
                x[at] = NAN;
                CHECK(pepg_centered_ranks(n, x, shaped, work) == PEPG_ENAN, "NaN at %td", at);
                x[at] = was;
            }
            CHECK(pepg_centered_ranks(n, x, x, work) == PEPG_OK && !memcmp(x, shaped, 8), "-");
            const ptrdiff_t pairs = n / 2;
            double *delta = room((size_t)pairs * 8), *even = room((size_t)pairs * 8), mean = 0;
            CHECK(pepg_antithetic(pairs, x, delta, even) == PEPG_OK, "-");
            for (ptrdiff_t i = 0; i < 2 * pairs; ++i) mean += x[i] / (double)(2 * pairs);
            for (ptrdiff_t i = 0; i < pairs; ++i) {
                CHECK(delta[i] == x[i] - x[pairs + i], "delta %td", i);
                CHECK(fabs(even[i] - ((x[i] + x[pairs + i]) / 2 - mean)) < 1e-14, "even %td", i);
            }
            free(delta), free(even), free(x), free(shaped), free(work);
        }
}

/* ---- functions of two widths: `real`, R(private), NAME(public) ---- */

#define EACH_WIDTH "test_kernels_real.inc"
#include "width.h"

/* ---- all of it ---- */

static const char *isa_name(int i) { return pepg_isa_usable(i); }

static void check_everything_of(int i) {
    CHECK(pepg_select_isa(isa_name(i)) == 0, "-");
    check_philox();
    check_stream();
    check_digest();
    check_ranks();
    check_kernels_f64();
    check_kernels_f32();
    check_search_f64();
    check_search_f32();
}

/* Bits are the same on every instruction set and in every team. */
static void check_bits(void) {
    uint64_t first[4] = {0};
    for (int i = 0; isa_name(i); ++i) {
        pepg_select_isa(isa_name(i));
        uint64_t forward[2] = {0};
        for (int threads = 1; threads <= 4; ++threads) {
            const uint64_t bits[4] = {bits_f64(threads), bits_f32(threads),
                    search_bits_f64(threads), search_bits_f32(threads)};
            const uint64_t here[2] = {forward_bits_f64(threads), forward_bits_f32(threads)};
            if (i == 0 && threads == 1) memcpy(first, bits, sizeof first);
            if (threads == 1) memcpy(forward, here, sizeof forward);
            CHECK(!memcmp(first, bits, sizeof first), "%s, %d threads", isa_name(i), threads);
            CHECK(!memcmp(forward, here, sizeof here), "%s, %d threads", isa_name(i), threads);
        }
    }
}

static uint64_t wanted_bits[6];

static void all_bits(uint64_t bits[6], int threads) {
    bits[0] = bits_f64(threads), bits[1] = bits_f32(threads);
    bits[2] = forward_bits_f64(threads), bits[3] = forward_bits_f32(threads);
    bits[4] = search_bits_f64(threads), bits[5] = search_bits_f32(threads);
}

static void *drive(void *argument) {
    uint64_t bits[6];
    all_bits(bits, 1 + *(int *)argument % 3);
    CHECK(!memcmp(bits, wanted_bits, sizeof bits), "thread %d", *(int *)argument);
    return NULL;
}

static void count_task(ptrdiff_t task, int worker, void *context) {
    (void)worker;
    atomic_fetch_add((atomic_int *)context + task, 1);
}

/* Each task is done once, whatever the size of the runs in which threads take them. */
static void check_each_task_once(void) {
    static atomic_int times[1100];
    for (ptrdiff_t n = 1; n <= 1000; n = 2 * n + 3)
        for (int team = 1; team <= 5; ++team) {
            for (int i = 0; i < 1100; ++i) atomic_store(times + i, 0);
            pepg_parallel(n, team, count_task, times);
            for (int i = 0; i < 1100; ++i)
                CHECK(atomic_load(times + i) == (i < n), "task %d of %td, team of %d", i, n, team);
        }
}

/* Eight threads call at the same time, each with its own team. */
static void check_threads(void) {
    pthread_t threads[8];
    int numbers[8];
    all_bits(wanted_bits, 1);
    for (int i = 0; i < 8; ++i) {
        numbers[i] = i;
        if (pthread_create(threads + i, NULL, drive, numbers + i)) abort();
    }
    for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
}

#ifndef _WIN32
typedef struct {
    atomic_int has_worked[4];
    atomic_int is_over;
} hired_job;

static void note_worker(int worker, void *context) {
    hired_job *const job = context;
    CHECK(worker > 0 && worker < 4, "worker %d", worker);
    CHECK(!atomic_load(&job->is_over), "worker %d of a job that is over", worker);
    atomic_fetch_add(job->has_worked + worker, 1);
}

/* Workers that are dismissed in time do not work, the others work once, and none works later. */
static void *hire_and_dismiss(void *argument) {
    const int rounds = is_small ? 2000 : 20000;
    static _Thread_local hired_job jobs[2];
    for (int round = 0; round < rounds; ++round) {
        hired_job *const context = jobs + round % 2;
        *context = (hired_job){{0}, 0};
        pepg_job job = {.work = note_worker, .context = context};
        const int hired = pepg_hire(&job, 1 + round % 3);
        for (int i = 0; i < round % 64; ++i) sched_yield();
        if (round % 4) pepg_dismiss(&job);
        while (atomic_load(&job.working)) sched_yield();
        pepg_release(&job);
        atomic_store(&context->is_over, 1);
        for (int i = 1; i < 4; ++i) {
            const int worked = atomic_load(context->has_worked + i);
            CHECK(worked <= (i <= hired) && (round % 4 || worked == (i <= hired)), "worker %d: %d",
                    i, worked);
        }
    }
    return argument;
}

static void check_hiring(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i)
        if (pthread_create(threads + i, NULL, hire_and_dismiss, NULL)) abort();
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

#ifdef _OPENMP
static void *prefers_openmp_in_vain(void *argument) {
    const int team = pepg_available_threads(0);
    for (int i = 0; i < 3; ++i) pepg_learn_from_workers(team, 1.0, 1);
#ifndef __clang__ /* whose OpenMP gives it threads that another thread had */
    CHECK(!pepg_prefers_openmp(2), "threads that were created now");
#endif
    for (int i = 0; i < 100; ++i) {
        pepg_learn_from_workers(team, 1.0, 0);
        pepg_learn_from_workers(team, 1e-6, 1);
        pepg_learn_from_workers(team, 1.0, i % 2);
    }
    CHECK(!pepg_prefers_openmp(2), "workers that missed no two calls in a row");
    return argument;
}

static void no_task(ptrdiff_t task, int worker, void *context) {
    (void)task, (void)worker, (void)context;
}

static void other_task(ptrdiff_t task, int worker, void *context) {
    no_task(task, worker, context);
}

static void third_task(ptrdiff_t task, int worker, void *context) {
    other_task(task, worker, context);
}

/* Of so many calls that take so many microseconds, those that had a team. */
static int teams_of(int calls, pepg_task *task, double with_team, double alone) {
    int teams = 0;
    for (int i = 0; i < calls; ++i)
        teams += pepg_learn_from_call(2, 1e6, 16, task, 0, 1e-6 * with_team, 1e-6 * alone) > 1;
    return teams;
}

/* A part of a generation: with a team, or alone, it takes so many microseconds. */
static int has_team(
        ptrdiff_t n_tasks, pepg_task *task, uint64_t generation, double with_team, double alone) {
    return pepg_learn_from_call(2, 1e6, n_tasks, task, generation, 1e-6 * with_team, 1e-6 * alone) >
            1;
}

/* Of so many generations, those whose parts had a team; -1 if a generation had parts of both kinds. The
 * first part is faster with a team and the second one alone. */
static int teams_of_parts(
        ptrdiff_t n_tasks, uint64_t generations, double second_with_team, double second_alone) {
    int teams = 0, is_alike = 1;
    for (uint64_t i = 1; i <= generations; ++i) {
        const int first = has_team(n_tasks, no_task, i, 30.0, 60.0);
        has_team(n_tasks, third_task, 0, 50.0, 20.0); /* a call in between */
        is_alike &= has_team(n_tasks, other_task, i, second_with_team, second_alone) == first;
        teams += first;
    }
    return is_alike ? teams : -1;
}

/* What counts is the sum of the parts' times. */
static void check_parts(void) {
    int pays = 0, pays_not = 0, by_itself = 0;
    for (ptrdiff_t n = 31; n < 42; ++n) { /* in a few, tasks may have the same place and forget */
        pays += teams_of_parts(n, 512, 70.0, 60.0) > 450;
        const int rest = teams_of_parts(n, 1024, 100.0, 60.0);
        pays_not += rest >= 0 && rest < 100;
        int teams = 0, second_teams = 0;
        for (uint64_t i = 1; i <= 1024; ++i) { /* two searches in turns */
            teams += has_team(n, no_task, i, 30.0, 60.0);
            teams += has_team(n, no_task, i << 32, 30.0, 60.0);
            second_teams += has_team(n, other_task, i, 100.0, 60.0);
        }
        by_itself += teams > 1800 && second_teams < 100;
    }
    CHECK(pays > 5, "%d of 11", pays);
    CHECK(pays_not > 5, "%d of 11", pays_not);
    CHECK(by_itself > 5, "%d of 11", by_itself);
}

/* Both ways are tried, and the faster one is used, until it is the slower one. */
static void check_worth(void) {
    CHECK(teams_of(8, no_task, 50.0, 90.0) == 8, "first a team");
    CHECK(teams_of(8, no_task, 50.0, 90.0) == 0, "then a window alone");
    CHECK(teams_of(16, no_task, 50.0, 90.0) == 16, "then the better way");
    CHECK(teams_of(8, no_task, 50.0, 90.0) == 0, "soon the other one again");
    CHECK(teams_of(8 * 59, no_task, 50.0, 90.0) == 8 * 58, "and in the sixteenth window");
    CHECK(teams_of(512, no_task, 50.0, 90.0) == 504, "a trial in 64 windows");
    CHECK(teams_of(16, no_task, 190.0, 100.0) == 8, "a bad window after a trial");
    CHECK(teams_of(8, no_task, 50.0, 100.0) == 8, "does not decide");
    CHECK(teams_of(24, no_task, 190.0, 100.0) == 16, "two in a row do");
    CHECK(teams_of(58 * 8, no_task, 190.0, 100.0) == 0, "a team that no longer pays");
    CHECK(teams_of(8, no_task, 99.0, 100.0) == 8, "is tried again");
    CHECK(teams_of(63 * 8, no_task, 99.0, 100.0) == 63 * 8, "and wins");
    CHECK(teams_of(8, no_task, 102.0, 100.0) == 0, "alone");
    CHECK(teams_of(63 * 8, no_task, 102.0, 100.0) == 63 * 8, "is hardly faster");
    CHECK(teams_of(8, no_task, 10.0, 300.0) == 7, "a trial ends with a slow call");
    CHECK(teams_of(51200, no_task, 10.0, 300.0) > 51190, "costly trials are rarer");
    CHECK(teams_of(100, other_task, 50.0, 90.0) == 84, "kinds of calls are told apart");
    for (ptrdiff_t n = 17; n < 1000; ++n) { /* of all these, some have the same place */
        for (int i = 0; i < 16; ++i) pepg_learn_from_call(2, 1e6, n, no_task, 0, 2e-4, 1e-4);
        CHECK(pepg_learn_from_call(2, 1e6, n, no_task, 0, 2e-4, 1e-4) == 1, "alone");
        CHECK(pepg_learn_from_call(2, 1e6, n, other_task, 0, 2e-4, 1e-4) > 1, "a kind that is new");
    }
    for (int i = 0; i < 100; ++i)
        CHECK(pepg_learn_from_call(2, 2e6, 16, no_task, 0, 3e-3, 1e-4) > 1, "a long call, alone");
    CHECK(pepg_learn_from_call(2, 9e3, 16, other_task, 0, 1e-6, 1e-3) == 1, "too little work");
    pepg_force_teams(1);
    CHECK(teams_of(1000, no_task, 200.0, 100.0) == 1000, "teams that are forced");
    pepg_force_teams(0);
}

/* Workers miss two calls while OpenMP's threads may be awake. */
static void *may_prefer_openmp(void *found) {
    const int team = pepg_available_threads(0);
#pragma omp parallel
    if (omp_get_thread_num() == 0) *(int *)found = 0;
    for (int i = 0; i < 2; ++i) pepg_learn_from_workers(team, 1.0, 1);
    *(int *)found = pepg_prefers_openmp(2);
    CHECK(!pepg_prefers_openmp(team + 1), "more threads than were tried");
    return NULL;
}

static void call_in_a_thread(void *(*call)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, argument)) abort();
    pthread_join(thread, NULL);
}

/* A thread uses OpenMP's threads if its workers miss calls while those are awake: on a busy machine, in
 * one of many tries. */
static void check_choice(void) {
    int found = 0;
    call_in_a_thread(prefers_openmp_in_vain, NULL);
    if (pepg_available_threads(0) < 2 || sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
    for (int i = 0; i < 3000 && !found; ++i) call_in_a_thread(may_prefer_openmp, &found);
    CHECK(found, "threads that are awake");
}
#endif

/* A child of a process that had teams works alone, with the same bits. */
static void check_fork(void) {
    uint64_t bits[6];
    all_bits(wanted_bits, 4);
    const pid_t child = fork();
    if (child == 0) {
        all_bits(bits, 4);
        _exit(memcmp(bits, wanted_bits, sizeof bits) || pepg_available_threads(4) != 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0, "status %d", status);
}
#endif

int main(int n_arguments, char **arguments) {
    int forks = 1, only_workers = 0;
    for (int i = 1; i < n_arguments; ++i) {
        if (!strcmp(arguments[i], "small")) is_small = 1;
        if (!strcmp(arguments[i], "nofork")) forks = 0;
        if (!strcmp(arguments[i], "workers")) only_workers = 1;
    }
    CHECK(pepg_abi_version() == PEPG_FAST_ABI_VERSION, "-");
    CHECK(pepg_select_isa("none") == -1 && pepg_isa_usable(0) && pepg_isa_built(0), "-");
    CHECK(!pepg_isa_built(-1) && !pepg_isa_built(99) && !pepg_isa_usable(99), "-");
#if defined(_OPENMP) && !defined(_WIN32)
    check_worth();
    check_parts();
    if (!only_workers) check_choice(); /* first, because with many threads none is always awake */
#endif
    check_refusals_f64();
    check_refusals_f32();
    check_order_f64();
    check_order_f32();
    check_update_refusals_f64();
    check_update_refusals_f32();
    check_option_refusals_f64();
    check_option_refusals_f32();
    for (int forced = 2; forced >= 0; --forced) {
        if (forced == 2 ? is_small : only_workers && !forced) continue;
        pepg_force_teams(forced);
        for (int i = 0; isa_name(i); ++i) check_everything_of(i);
    }
    pepg_force_teams(1);
    check_bits();
    pepg_select_isa(NULL);
    check_each_task_once();
    check_threads();
#ifndef _WIN32
    check_hiring();
    if (forks) check_fork();
#endif
    printf("%ld checks, %ld failed; ISA units:", atomic_load(&n_checks), atomic_load(&n_failed));
    for (int i = 0; isa_name(i); ++i) printf(" %s", isa_name(i));
    printf("; OpenMP %d\n", pepg_openmp_version());
    return atomic_load(&n_failed) != 0;
}
