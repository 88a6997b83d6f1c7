/* The digest: Philox of the length, plus the sums of all leaves (kernels/digest.c). */
#include "digest.h"
#include "dispatch.h"
#include "parallel.h"

#include <string.h>

#define ROW_BYTES (8 * PEPG_DIGEST_LANES)
#define LEAF_BYTES (ROW_BYTES * PEPG_DIGEST_ROWS)

/* Approximate nanoseconds per leaf; maximum number of tasks. */
#define LEAF_COST 5000.0
#define TASKS 64

/* The key for the length, which no leaf uses. */
#define LENGTH_KEY UINT64_MAX

typedef struct {
    ptrdiff_t size, n_leaves, n_tasks;
    const unsigned char *data;
    uint32_t (*sums)[4]; /* of each task */
} digest_job;

/* A leaf; the last one may end within a row. */
static void digest_leaf(const digest_job *job, ptrdiff_t leaf, uint32_t sums[4]) {
    const ptrdiff_t start = leaf * LEAF_BYTES, left = job->size - start;
    const ptrdiff_t bytes = left < LEAF_BYTES ? left : LEAF_BYTES;
    if (bytes % ROW_BYTES == 0) {
        pepg_active->digest(bytes / ROW_BYTES, (uint64_t)leaf, job->data + start, sums);
        return;
    }
    unsigned char padded[LEAF_BYTES];
    const ptrdiff_t n_rows = bytes / ROW_BYTES + 1;
    memset(padded + (n_rows - 1) * ROW_BYTES, 0, ROW_BYTES);
    memcpy(padded, job->data + start, (size_t)bytes);
    pepg_active->digest(n_rows, (uint64_t)leaf, padded, sums);
}

static void digest_task(ptrdiff_t task, UNUSED int worker, void *context) {
    const digest_job *job = context;
    for (ptrdiff_t leaf = task; leaf < job->n_leaves; leaf += job->n_tasks)
        digest_leaf(job, leaf, job->sums[task]);
}

pepg_status pepg_digest(ptrdiff_t size, const void *data, uint32_t *digest, int n_threads) {
    if (size < 0 || (size && !data) || !digest) return PEPG_EINVAL;
    const uint32_t length[4] = {(uint32_t)size, (uint32_t)((uint64_t)size >> 32), 0, 0};
    const ptrdiff_t n_leaves = size / LEAF_BYTES + (size % LEAF_BYTES != 0);
    const ptrdiff_t n_tasks = n_leaves < TASKS ? n_leaves : TASKS;
    uint32_t sums[TASKS][4] = {{0}};
    digest_job job = {size, n_leaves, n_tasks, data, sums};
    pepg_active->philox(1, length, LENGTH_KEY, digest);
    pepg_parallel(n_tasks, pepg_team(n_threads, LEAF_COST * (double)n_leaves, n_tasks), digest_task,
            &job);
    for (ptrdiff_t task = 0; task < n_tasks; ++task)
        for (int w = 0; w < 4; ++w) digest[w] += sums[task][w];
    return PEPG_OK;
}
