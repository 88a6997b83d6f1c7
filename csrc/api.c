/* The public functions: check, split into tasks, go. */
#include "pepg_fast.h"
#include "checks.h"
#include "dispatch.h"
#include "network.h"
#include "parallel.h"
#include "split.h"

#include <math.h>
#include <string.h>

/* Nanoseconds an element costs, roughly; they decide only whether a team is worth waking. */
#define DRAW_COST 0.5
#define READ_COST 0.1
#define STEP_COST 0.7

/* Elements of a sampling task: enough to hide its start, few enough to share out evenly. */
#define SAMPLE_TASK 16384
/* Bytes of a population that is written past the caches: no cache would hold it until it is read.
 */
#define STREAM_BYTES 100e6
/* Tasks a thread gets at least, where columns are shared out; and the columns that are never split,
 * a cache line. */
#define TASKS_PER_THREAD 4
#define COLUMN_SHARE 16

static ptrdiff_t min_size(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

static ptrdiff_t column_blocks(ptrdiff_t n) { return n / PEPG_COLUMNS + (n % PEPG_COLUMNS != 0); }

static ptrdiff_t pair_blocks(ptrdiff_t n_pairs) { return (n_pairs + PEPG_PAIRS - 1) / PEPG_PAIRS; }

/* Column tiles by blocks of pairs; tasks run along a row first. */
typedef struct {
    ptrdiff_t n_pairs, dim, rows, tiles, n_tasks;
} pepg_grid;

static pepg_grid sample_grid(ptrdiff_t n_pairs, ptrdiff_t dim) {
    const ptrdiff_t columns = min_size(dim, PEPG_COLUMNS);
    pepg_grid grid = {.n_pairs = n_pairs, .dim = dim};
    grid.rows = SAMPLE_TASK / columns > 1 ? SAMPLE_TASK / columns : 1;
    grid.tiles = column_blocks(dim);
    grid.n_tasks = (n_pairs + grid.rows - 1) / grid.rows * grid.tiles;
    return grid;
}

static pepg_tile grid_tile(const pepg_grid *grid, ptrdiff_t task) {
    const ptrdiff_t row = task / grid->tiles * grid->rows, col = task % grid->tiles * PEPG_COLUMNS;
    return (pepg_tile){row, min_size(row + grid->rows, grid->n_pairs), col,
                       min_size(col + PEPG_COLUMNS, grid->dim)};
}

/* Columns a task owns: as many as the kernels take, fewer if a team would go idle. Each column's
 * sums are its own, so this does not move a bit. */
static ptrdiff_t column_tile(ptrdiff_t dim, int team) {
    if (team == 1) return PEPG_COLUMNS;
    const ptrdiff_t share = (dim + team * TASKS_PER_THREAD - 1) / (team * TASKS_PER_THREAD);
    return min_size((share + COLUMN_SHARE - 1) / COLUMN_SHARE * COLUMN_SHARE, PEPG_COLUMNS);
}

/* b^t by squaring: the same bits on every machine, unlike pow(). */
static double power(double b, uint64_t t) {
    double result = 1.0;
    for (; t; t >>= 1, b *= b)
        if (t & 1) result *= b;
    return result;
}

static double adam_step_size(double alpha, double beta_1, double beta_2, uint64_t t) {
    return alpha * (sqrt(1.0 - power(beta_2, t)) / (1.0 - power(beta_1, t)));
}

size_t pepg_velocity_work_size(ptrdiff_t n) {
    return n < 1 ? 0 : (size_t)n + (size_t)column_blocks(n);
}

ptrdiff_t pepg_pairs_of_block(void) { return PEPG_PAIRS; }

int pepg_abi_version(void) { return PEPG_FAST_ABI_VERSION; }

pepg_status pepg_philox4x32(ptrdiff_t n, const uint32_t *counters, uint64_t key, uint32_t *words) {
    if (n < 1 || !counters || !words) return PEPG_EINVAL;
    pepg_active->philox(n, counters, key, words);
    return PEPG_OK;
}

typedef struct {
    const pepg_draw *draw;
    pepg_grid grid;
    float *noise;
    double *wide;
} normals_job;

static void normals_task(ptrdiff_t task, int worker, void *context) {
    const normals_job *job = context;
    const pepg_tile tile = grid_tile(&job->grid, task);
    const ptrdiff_t dim = job->draw->dim, n = tile.col_hi - tile.col_lo;
    (void)worker;
    if (job->noise) {
        pepg_active->normals(tile, job->draw, job->noise + tile.row_lo * dim + tile.col_lo, dim);
        return;
    }
    float z[PEPG_COLUMNS];
    for (ptrdiff_t row = tile.row_lo; row < tile.row_hi; ++row) {
        pepg_active->normals((pepg_tile){row, row + 1, tile.col_lo, tile.col_hi}, job->draw, z, n);
        for (ptrdiff_t j = 0; j < n; ++j) job->wide[row * dim + tile.col_lo + j] = (double)z[j];
    }
}

static pepg_status draw_normals(const pepg_draw *draw, float *noise, double *wide, int n_threads) {
    if (!is_draw_valid(draw) || (!noise && !wide)) return PEPG_EINVAL;
    normals_job job = {draw, sample_grid(draw->n_pairs, draw->dim), noise, wide};
    const double work = DRAW_COST * (double)draw->n_pairs * (double)draw->dim;
    pepg_parallel(job.grid.n_tasks, pepg_team(n_threads, work, job.grid.n_tasks), normals_task,
                  &job);
    return PEPG_OK;
}

pepg_status pepg_normals(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation,
                         uint64_t first_pair, double *noise, int n_threads) {
    const pepg_draw draw = {n_pairs, dim, key, generation, first_pair, NULL, NULL};
    return draw_normals(&draw, NULL, noise, n_threads);
}

pepg_status pepg_normals_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation,
                             uint64_t first_pair, float *noise, int n_threads) {
    const pepg_draw draw = {n_pairs, dim, key, generation, first_pair, NULL, NULL};
    return draw_normals(&draw, noise, NULL, n_threads);
}

ptrdiff_t pepg_network_parameters(int n_layers, const ptrdiff_t *sizes, int bias) {
    ptrdiff_t total = 0;
    if (n_layers < 1 || !sizes || sizes[0] < 1) return 0;
    for (int l = 0; l < n_layers; ++l) {
        if (sizes[l + 1] < 1 || sizes[l] > PTRDIFF_MAX / 8) return 0;
        const ptrdiff_t rows = sizes[l] + (bias != 0);
        if (rows > (PTRDIFF_MAX / 8 - total) / sizes[l + 1]) return 0;
        total += rows * sizes[l + 1];
    }
    return total;
}

/* Two rows a batch entry, to and fro; a cache line on top, so that workers do not share one. */
static size_t scratch_per_worker(const pepg_network *network, ptrdiff_t batch) {
    return 2 * (size_t)min_size(batch, PEPG_BATCH) * (size_t)PEPG_PADDED(widest_of(network)) +
           COLUMN_SHARE;
}

size_t pepg_forward_work_size(int n_layers, const ptrdiff_t *sizes, ptrdiff_t batch,
                              int n_threads) {
    if (batch < 1 || !pepg_network_parameters(n_layers, sizes, 1)) return 0;
    const pepg_network network = network_of(n_layers, sizes, 1, PEPG_IDENTITY, PEPG_IDENTITY);
    const size_t workers = (size_t)pepg_available_threads(n_threads);
    if ((size_t)widest_of(&network) > PTRDIFF_MAX / 32 / PEPG_BATCH / workers) return 0;
    return scratch_per_worker(&network, batch) * workers;
}

#define EACH_WIDTH "api_real.inc"
#include "each_width.inc"

#define EACH_WIDTH "velocity_real.inc"
#include "each_width.inc"

#define EACH_WIDTH "update_real.inc"
#include "each_width.inc"

#define EACH_WIDTH "split_real.inc"
#include "each_width.inc"
