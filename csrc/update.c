/* Gradients, alone or in parts, and whole updates: tiles of columns, each with all its pairs. */
#include "checks.h"
#include "dispatch.h"
#include "split.h"
#include "step.h"
#include "tasks.h"

/* Tasks a thread gets at least, where columns are shared out. */
#define TASKS_PER_THREAD 4

/* Columns a task owns: as many as the kernels take, fewer if a team would go idle. Each column's
 * sums are its own, so this does not move a bit. */
static ptrdiff_t column_tile(ptrdiff_t dim, int team) {
    if (team == 1) return PEPG_COLUMNS;
    const ptrdiff_t share = (dim + team * TASKS_PER_THREAD - 1) / (team * TASKS_PER_THREAD);
    return min_size((share + COLUMN_SHARE - 1) / COLUMN_SHARE * COLUMN_SHARE, PEPG_COLUMNS);
}

#define EACH_WIDTH "gradients_real.inc"
#include "width.h"

#define EACH_WIDTH "update_real.inc"
#include "width.h"
