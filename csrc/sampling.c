/* Noise and populations: a grid of column tiles by blocks of pairs. */
#include "checks.h"
#include "dispatch.h"
#include "stores.h"
#include "tasks.h"

/* Elements of a sampling task: enough to hide its overhead, few enough for an even division. */
#define SAMPLE_TASK 16384

int pepg_abi_version(void) { return PEPG_FAST_ABI_VERSION; }

/* Column tiles by blocks of pairs. The tiles make one strip for each thread if there are enough of them, so
 * that a thread draws most of the columns that it will read for the gradients. Tasks run through one strip
 * after the other, and along its rows. */
typedef struct {
    ptrdiff_t n_pairs, dim, rows, blocks, tiles, strips, n_tasks;
    int team;
} pepg_grid;

/* `cost` is that of an element (tasks.h). */
static pepg_grid sample_grid(const pepg_draw *draw, double cost, int n_threads, pepg_task *task) {
    const ptrdiff_t n_pairs = draw->n_pairs, dim = draw->dim, columns = min_size(dim, PEPG_COLUMNS);
    pepg_grid grid = {.n_pairs = n_pairs, .dim = dim};
    grid.rows = SAMPLE_TASK / columns > 1 ? SAMPLE_TASK / columns : 1;
    grid.blocks = (n_pairs + grid.rows - 1) / grid.rows;
    grid.tiles = column_blocks(dim);
    grid.n_tasks = grid.blocks * grid.tiles;
    const double work = cost * (double)n_pairs * (double)dim;
    grid.team = pepg_tried_team(n_threads, work, grid.n_tasks, task, generation_id(draw));
    grid.strips = grid.team <= grid.tiles ? grid.team : 1;
    return grid;
}

static pepg_tile grid_tile(const pepg_grid *grid, ptrdiff_t task) {
    const ptrdiff_t strip = ((task / grid->blocks + 1) * grid->strips - 1) / grid->tiles;
    const ptrdiff_t first = strip * grid->tiles / grid->strips;
    const ptrdiff_t n = (strip + 1) * grid->tiles / grid->strips - first;
    const ptrdiff_t at = task - first * grid->blocks;
    const ptrdiff_t row = at / n * grid->rows, col = (first + at % n) * PEPG_COLUMNS;
    return (pepg_tile){row, min_size(row + grid->rows, grid->n_pairs), col,
            min_size(col + PEPG_COLUMNS, grid->dim)};
}

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

static void normals_task(ptrdiff_t task, UNUSED int worker, void *context) {
    const normals_job *job = context;
    const pepg_tile tile = grid_tile(&job->grid, task);
    const ptrdiff_t dim = job->draw->dim, n = tile.col_hi - tile.col_lo;
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
    normals_job job = {draw, sample_grid(draw, DRAW_COST, n_threads, normals_task), noise, wide};
    pepg_parallel(job.grid.n_tasks, job.grid.team, normals_task, &job);
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

#define EACH_WIDTH "sampling_real.inc"
#include "width.h"
