/* Every kernel, compiled once per instruction set (CMake sets the flags and PEPG_UNIT) and exported
 * as one table. */
#include "kernels.h"
#include "pepg_fast.h"
#include "rng.h"

#include <float.h>
#include <math.h>

typedef int64_t flags_f64;
typedef int32_t flags_f32;

#include "kernels/normals.c"

#include "kernels/digest.c"
#include "kernels/ranks.c"

#define PEPG_REAL_BITS 64
#include "kernels/real.h"

#include "kernels/activation.c"
#include "kernels/finite.c"
#include "kernels/forward.c"
#include "kernels/gradient.c"
#include "kernels/optimizer.c"
#include "kernels/sample.c"

#undef PEPG_REAL_BITS
#define PEPG_REAL_BITS 32
#include "kernels/real.h"

#include "kernels/activation.c"
#include "kernels/finite.c"
#include "kernels/forward.c"
#include "kernels/gradient.c"
#include "kernels/optimizer.c"
#include "kernels/sample.c"

#define STRING(name) #name
#define NAME(name) STRING(name)
#define JOIN(a, b) a##b
#define TABLE(unit) JOIN(pepg_kernels_, unit)

#define REAL_TABLE(suffix, width)                                                                  \
    {                                                                                              \
        .lanes = width, .pass_lanes = lanes_block_##suffix, .sample = sample_block_##suffix,       \
        .gradients = gradients_block_##suffix, .adam = adam_block_##suffix,                        \
        .adam_ascent = adam_ascent_block_##suffix, .sigma_ascent = sigma_ascent_block_##suffix,    \
        .descent = descent_block_##suffix, .velocity = velocity_block_##suffix,                    \
        .combine = combine_block_##suffix, .ascend = ascend_block_##suffix,                        \
        .squares = squares_block_##suffix,                                                         \
        .activate = activate_block_##suffix, .layer = layer_block_##suffix,                        \
        .network = network_block_##suffix, .members = members_block_##suffix,                      \
        .clip = clip_block_##suffix, .pair_sums = pair_sums_block_##suffix,                        \
        .scale_sums = scale_sums_block_##suffix, .all_finite = all_finite_block_##suffix,          \
    }

extern const pepg_kernels TABLE(PEPG_UNIT);
const pepg_kernels TABLE(PEPG_UNIT) = {
    .name = NAME(PEPG_UNIT),
    .philox = philox_block,
    .normals = normals_block,
    .digest = digest_block,
    .compare_ranks = compare_ranks_block,
    .f64 = REAL_TABLE(f64, LANES_64),
    .f32 = REAL_TABLE(f32, LANES_32),
};
