/* Gradients, alone or in parts, and whole updates: tiles of columns, each with all its pairs. */
#include "checks.h"
#include "dispatch.h"
#include "split.h"
#include "step.h"
#include "tasks.h"

/* Minimum number of tasks per thread, if columns are divided. */
#define TASKS_PER_THREAD 4

/* Columns per task: as many as the kernels accept, or fewer if threads would be idle. The sums of
 * columns are independent, so this does not change any bit. */
static ptrdiff_t column_tile(ptrdiff_t dim, int team) {
    if (team == 1) return PEPG_COLUMNS;
    const ptrdiff_t share = (dim + team * TASKS_PER_THREAD - 1) / (team * TASKS_PER_THREAD);
    return min_size((share + COLUMN_SHARE - 1) / COLUMN_SHARE * COLUMN_SHARE, PEPG_COLUMNS);
}

#define EACH_WIDTH "gradients_real.inc"
#include "width.h"

#define EACH_WIDTH "update_real.inc"
#include "width.h"
