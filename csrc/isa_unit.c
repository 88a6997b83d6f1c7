/* Every kernel, compiled once per instruction set (CMake sets the flags and PEPG_UNIT) and exported
 * as one table. */
#include "kernels.h"
#include "pepg_fast.h"
#include "rng.h"

#include <float.h>
#include <math.h>

#include "kernels/normals.c"
#include "kernels/digest.c"
#define EACH_WIDTH "kernels/compare.c"
#include "width.h"
#include "kernels/ranks.c"
#define EACH_WIDTH "kernels/activation.c"
#include "width.h"
#define EACH_WIDTH "kernels/finite.c"
#include "width.h"
#define EACH_WIDTH "kernels/forward.c"
#include "width.h"
#define EACH_WIDTH "kernels/recurrent.c"
#include "width.h"
#define EACH_WIDTH "kernels/members.c"
#include "width.h"
#define EACH_WIDTH "kernels/low_rank.c"
#include "width.h"
#define EACH_WIDTH "kernels/gradient.c"
#include "width.h"
#define EACH_WIDTH "kernels/optimizer.c"
#include "width.h"
#define EACH_WIDTH "kernels/sample.c"
#include "width.h"

#define AS_TEXT(name) #name
#define TEXT(name) AS_TEXT(name)
#define PASTE(a, b) a##b
#define TABLE(unit) PASTE(pepg_kernels_, unit)

#define EACH_KERNEL(ENTRY)                                                                         \
    ENTRY(sample), ENTRY(gradients), ENTRY(adam), ENTRY(adam_ascent), ENTRY(sigma_ascent),         \
            ENTRY(descent), ENTRY(velocity), ENTRY(combine), ENTRY(ascend), ENTRY(squares),        \
            ENTRY(activate), ENTRY(layer), ENTRY(network), ENTRY(members), ENTRY(pass_lanes),      \
            ENTRY(recurrent), ENTRY(recurrent_lanes), ENTRY(low_rank_sample), ENTRY(low_rank_sum), \
            ENTRY(low_rank_network), ENTRY(clip), ENTRY(all_finite)
#define ENTRY_F64(name) .name = name##_block_f64
#define ENTRY_F32(name) .name = name##_block_f32

extern const pepg_kernels TABLE(PEPG_UNIT);
const pepg_kernels TABLE(PEPG_UNIT) = {
        .name = TEXT(PEPG_UNIT),
        .philox = philox_block,
        .normals = normals_block,
        .digest = digest_block,
        .compare_ranks = compare_ranks_block,
        .f64 = {.lanes = LANES_64, EACH_KERNEL(ENTRY_F64)},
        .f32 = {.lanes = LANES_32, EACH_KERNEL(ENTRY_F32)},
};
