/* The table of serial kernels that each instruction-set unit exports, and the sizes of the blocks
 * it works in.
 *
 * Every kernel is a pure function of its arguments, allocates nothing, and writes only its outputs.
 * Matrices are row-major. Rows are mirrored pairs (or members of a population), columns
 * coordinates.
 */
#ifndef PEPG_KERNELS_H
#define PEPG_KERNELS_H

#include "pepg_fast.h"
#include "strict.h"

/* Columns of a tile: its float64 sums (2 x 8 KiB) and a row of its noise stay in the first-level
 * cache. */
#define PEPG_COLUMNS 1024
/* Normals drawn before they are used, where they are not kept: they stay in the first-level cache. */
#define PEPG_NORMALS (4 * PEPG_COLUMNS)
/* Pairs summed in one go; a gradient is the sum of these partial sums in pair order, which fixes
 * its bits. */
#define PEPG_PAIRS 64
/* Above this many rewards, sorting beats comparing each with each. */
#define PEPG_COMPARE_LIMIT 256
/* Inputs of a batch that pass through a network together; bounds the scratch memory. */
#define PEPG_BATCH 32
/* Up to this many parameters a population passes through its networks with one member a lane;
 * members of a task. */
#define PEPG_FEW_PARAMETERS 128
#define PEPG_MEMBERS 16
/* 64-bit words of a row that is digested, four of the widest vectors, and rows of a leaf
 * (digest.h). */
#define PEPG_DIGEST_LANES 32
#define PEPG_DIGEST_ROWS 256
/* Elements of a scratch row: whole vectors of every instruction set, and at least a cache line. */
#define PEPG_PADDED(n) (((n) + 15) / 16 * 16)

/* Rows [row_lo, row_hi) by columns [col_lo, col_hi). */
typedef struct {
    ptrdiff_t row_lo, row_hi, col_lo, col_hi;
} pepg_tile;

/* Adam's numbers for one step; l2 is the weight decay that enters before it. */
typedef struct {
    double step_size, beta_1, beta_2, epsilon, l2;
} pepg_adam_numbers;

/* Of all sizes of a network but the first. */
static inline ptrdiff_t widest_of(const pepg_network *network) {
    ptrdiff_t widest = 0;
    for (int l = 1; l <= network->n_layers; ++l)
        widest = network->sizes[l] > widest ? network->sizes[l] : widest;
    return widest;
}

/* Columns [col_lo, col_hi) of a layer of `in` inputs and `out` outputs. */
typedef struct {
    ptrdiff_t in, out, col_lo, col_hi;
    int bias;
} pepg_layer;

#define PEPG_REAL_KERNELS(real)                                                                    \
    struct {                                                                                       \
        int lanes;                                                                                 \
        void (*sample)(pepg_tile tile, const pepg_draw *draw, const real *mu, const real *sigma,   \
                       float *noise, real *plus, real *minus, int stream);                         \
        void (*gradients)(ptrdiff_t lo, ptrdiff_t hi, const pepg_draw *draw, const double *delta,  \
                          const double *even, const real *sigma, real *g_mu, real *g_sigma);       \
        void (*pair_sums)(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t row, ptrdiff_t rows,               \
                          const pepg_draw *draw, const double *delta, const double *even,          \
                          real *sum_z, real *sum_zz);                                              \
        void (*scale_sums)(ptrdiff_t lo, ptrdiff_t n, const pepg_draw *draw, const double *even,   \
                           const real *sigma, real *g_mu, real *g_sigma);                          \
        void (*adam)(ptrdiff_t n, const real *gradient, pepg_adam_numbers rule, real *m, real *v,  \
                     real *step);                                                                  \
        void (*adam_ascent)(ptrdiff_t n, const real *g_mu, pepg_adam_numbers rule, real *m,        \
                            real *v, real *mu);                                                    \
        void (*descent)(ptrdiff_t n, const real *g_mu, double l2, const real *mu, real *descent);  \
        void (*velocity)(ptrdiff_t n, const real *gradient, double momentum, double scale,         \
                         real *velocity);                                                          \
        void (*combine)(ptrdiff_t n, double a, const real *x, double b, const real *y,             \
                        real *step);                                                               \
        void (*ascend)(ptrdiff_t n, const real *step, real *mu);                                   \
        double (*squares)(ptrdiff_t n, double scale, const real *x);                               \
        int (*all_finite)(ptrdiff_t n, const real *x, real above);                                 \
        void (*sigma_ascent)(ptrdiff_t lo, ptrdiff_t n, const real *g_sigma,                       \
                             const pepg_sigma_rule *rule, real *sigma);                            \
        void (*clip)(ptrdiff_t n, const real *lower, const real *upper, real *values);             \
        void (*activate)(ptrdiff_t n, int activation, real *values);                               \
        void (*layer)(ptrdiff_t batch, pepg_layer layer, const real *weights, const real *x,       \
                      ptrdiff_t x_stride, real *y, ptrdiff_t y_stride);                            \
        void (*members)(const pepg_network *network, ptrdiff_t members, ptrdiff_t batch,           \
                        const real *weights, ptrdiff_t weights_stride, const real *x,              \
                        ptrdiff_t member_stride, ptrdiff_t input_stride, real *y);                 \
        void (*pass_lanes)(const pepg_network *network, const real *weights, const real *x,        \
                           real *y);                                                               \
        void (*network)(const pepg_network *network, ptrdiff_t batch, const real *weights,         \
                        const real *x, ptrdiff_t x_stride, real *y, real *work);                   \
    }

typedef PEPG_REAL_KERNELS(double) pepg_kernels_f64;
typedef PEPG_REAL_KERNELS(float) pepg_kernels_f32;

typedef struct {
    const char *name;
    void (*philox)(ptrdiff_t n, const uint32_t *counters, uint64_t key, uint32_t *words);
    void (*normals)(pepg_tile tile, const pepg_draw *draw, float *noise, ptrdiff_t stride);
    void (*digest)(ptrdiff_t n_rows, uint64_t leaf, const unsigned char *rows, uint32_t sums[4]);
    void (*compare_ranks)(ptrdiff_t n, const double *rewards, double *twice_rank);
    pepg_kernels_f64 f64;
    pepg_kernels_f32 f32;
} pepg_kernels;

#endif
