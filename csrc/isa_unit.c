/* Every kernel, compiled once per instruction set (CMake sets the flags and PEPG_UNIT) and exported
 * as one table. */
#include "kernels.h"
#include "pepg_fast.h"
#include "rng.h"

#include <float.h>
#include <math.h>

#include "kernels/normals.c"

#include "kernels/digest.c"
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

#define REAL_TABLE(suffix, width)                                                                  \
    {                                                                                              \
            .lanes = width,                                                                        \
            .pass_lanes = lanes_block_##suffix,                                                    \
            .sample = sample_block_##suffix,                                                       \
            .gradients = gradients_block_##suffix,                                                 \
            .adam = adam_block_##suffix,                                                           \
            .adam_ascent = adam_ascent_block_##suffix,                                             \
            .sigma_ascent = sigma_ascent_block_##suffix,                                           \
            .descent = descent_block_##suffix,                                                     \
            .velocity = velocity_block_##suffix,                                                   \
            .combine = combine_block_##suffix,                                                     \
            .ascend = ascend_block_##suffix,                                                       \
            .squares = squares_block_##suffix,                                                     \
            .activate = activate_block_##suffix,                                                   \
            .layer = layer_block_##suffix,                                                         \
            .network = network_block_##suffix,                                                     \
            .members = members_block_##suffix,                                                     \
            .recur = recurrent_block_##suffix,                                                     \
            .recur_lanes = recurrent_lanes_block_##suffix,                                         \
            .low_rank_sample = low_rank_sample_block_##suffix,                                     \
            .low_rank_sum = low_rank_sum_block_##suffix,                                           \
            .low_rank_network = low_rank_network_block_##suffix,                                   \
            .clip = clip_block_##suffix,                                                           \
            .all_finite = all_finite_block_##suffix,                                               \
    }

extern const pepg_kernels TABLE(PEPG_UNIT);
const pepg_kernels TABLE(PEPG_UNIT) = {
        .name = TEXT(PEPG_UNIT),
        .philox = philox_block,
        .normals = normals_block,
        .digest = digest_block,
        .compare_ranks = compare_ranks_block,
        .f64 = REAL_TABLE(f64, LANES_64),
        .f32 = REAL_TABLE(f32, LANES_32),
};
