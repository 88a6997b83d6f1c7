/* The table of serial kernels that each instruction-set unit exports, and the sizes of their blocks.
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
/* Number of normals that are drawn before they are used, if they are not kept: they stay in the
 * first-level cache. */
#define PEPG_NORMALS (4 * PEPG_COLUMNS)
/* Pairs summed in one go; a gradient is the sum of these partial sums in pair order, which fixes
 * its bits. */
#define PEPG_PAIRS 64
/* Above this many rewards, sorting is faster than comparing every pair. */
#define PEPG_COMPARE_LIMIT 384
/* Inputs of a batch that pass through a network together; bounds the scratch memory. */
#define PEPG_BATCH 32
/* With up to this many parameters, a population passes through its networks with one member per lane;
 * members of a task. */
#define PEPG_FEW_PARAMETERS 128
#define PEPG_MEMBERS 16
/* Sizes for low-rank noise: rows whose sums are in registers at the same time; rows of a gradient's
 * task, and terms of one of its partial sums; and rows of a forward pass's task, whose values stay in
 * the second-level cache from layer to layer. */
#define PEPG_GROUP 6
#define PEPG_GROUPED (16 * PEPG_GROUP)
#define PEPG_TERMS 128
#define PEPG_ROWS (22 * PEPG_GROUP)
/* Columns of the widest panel of any instruction set; elements of scratch of one worker. */
#define PEPG_PANEL 64
#define PEPG_OUTER_WORK (PEPG_TERMS * (PEPG_GROUPED + PEPG_PANEL))
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

/* Number of gates of a network's cell; 0 without a cell. */
static inline ptrdiff_t gates_of(const pepg_network *network) {
    switch (network->hidden) {
    case PEPG_ELMAN: return 1;
    case PEPG_GRU: return 3;
    case PEPG_LSTM: return 4;
    default: return 0;
    }
}

/* Number of elements in the state of a network's cell. */
static inline ptrdiff_t state_size_of(const pepg_network *network) {
    if (!gates_of(network)) return 0;
    return (network->hidden == PEPG_LSTM ? 2 : 1) * network->sizes[1];
}

/* Parameters of a network that pepg_network_parameters has counted. */
static inline ptrdiff_t parameters_in(const pepg_network *network) {
    const ptrdiff_t gates = gates_of(network), *sizes = network->sizes;
    ptrdiff_t total = gates ? (sizes[0] + sizes[1] + 2 * network->bias) * gates * sizes[1] : 0;
    for (int l = gates ? 1 : 0; l < network->n_layers; ++l)
        total += (sizes[l] + network->bias) * sizes[l + 1];
    return total;
}

/* The largest number of columns of any block of weights. */
static inline ptrdiff_t widest_of(const pepg_network *network) {
    ptrdiff_t widest = gates_of(network) ? gates_of(network) * network->sizes[1] : 0;
    for (int l = 1; l <= network->n_layers; ++l)
        widest = network->sizes[l] > widest ? network->sizes[l] : widest;
    return widest;
}

/* Columns [col_lo, col_hi) of a layer of `in` inputs and `out` outputs. Weights that stream come from
 * memory and are read once; others are expected in a cache. */
typedef struct {
    ptrdiff_t in, out, col_lo, col_hi;
    int bias, streams;
} pepg_layer;

/* The place of a matrix in the factors of a pair, of which there are `stride`. */
typedef struct {
    ptrdiff_t rows, columns, rank, stride;
} pepg_factor;

/* Which members of a population pass through a network, and where their inputs are. */
typedef struct {
    ptrdiff_t rank, n_pairs, n_factors;
    const float *factors;
    const ptrdiff_t *members;
    ptrdiff_t batch, member_stride, input_stride;
    ptrdiff_t row_stride; /* of the scratch */
    int is_whole;         /* all members of all pairs, in order */
} pepg_population;

#define PEPG_REAL_KERNELS(real)                                                                    \
    struct {                                                                                       \
        int lanes;                                                                                 \
        void (*sample)(pepg_tile tile, const pepg_draw *draw, const real *mu, const real *sigma,   \
                float *noise, real *plus, real *minus, int stream);                                \
        void (*gradients)(ptrdiff_t lo, ptrdiff_t hi, const pepg_draw *draw, const double *delta,  \
                const double *even, const real *sigma, real *g_mu, real *g_sigma);                 \
        void (*adam)(ptrdiff_t n, const real *gradient, pepg_adam_numbers rule, real *m, real *v,  \
                real *step);                                                                       \
        void (*adam_ascent)(ptrdiff_t n, const real *g_mu, pepg_adam_numbers rule, real *m,        \
                real *v, real *mu);                                                                \
        void (*descent)(ptrdiff_t n, const real *g_mu, double l2, const real *mu, real *descent);  \
        void (*velocity)(                                                                          \
                ptrdiff_t n, const real *gradient, double momentum, double scale, real *velocity); \
        void (*combine)(                                                                           \
                ptrdiff_t n, double a, const real *x, double b, const real *y, real *step);        \
        void (*ascend)(ptrdiff_t n, const real *step, real *mu);                                   \
        double (*squares)(ptrdiff_t n, double scale, const real *x);                               \
        int (*all_finite)(ptrdiff_t n, const real *x, real above);                                 \
        void (*sigma_ascent)(ptrdiff_t lo, ptrdiff_t n, const real *g_sigma,                       \
                const pepg_sigma_rule *rule, real *sigma);                                         \
        void (*clip)(ptrdiff_t n, const real *lower, const real *upper, real *values);             \
        void (*activate)(ptrdiff_t n, int activation, real *values);                               \
        void (*layer)(ptrdiff_t batch, pepg_layer layer, const real *weights, const real *x,       \
                ptrdiff_t x_stride, real *y, ptrdiff_t y_stride);                                  \
        void (*low_rank_sample)(pepg_factor factor, ptrdiff_t lo, ptrdiff_t hi, const float *u,    \
                const real *mu, real scale, real *theta);                                          \
        void (*low_rank_sum)(pepg_tile tile, pepg_factor factor, ptrdiff_t n_pairs,                \
                const float *factors, const double *delta, real scale, real *g, real *work);       \
        void (*low_rank_network)(const pepg_network *network, const pepg_population *who,          \
                ptrdiff_t lo, ptrdiff_t hi, const real *mu, const real *sigma, const real *x,      \
                real *y, real *work);                                                              \
        void (*members)(const pepg_network *network, ptrdiff_t members, ptrdiff_t batch,           \
                const real *weights, ptrdiff_t weights_stride, const real *x,                      \
                ptrdiff_t member_stride, ptrdiff_t input_stride, real *state, real *y);            \
        void (*pass_lanes)(                                                                        \
                const pepg_network *network, const real *weights, const real *x, real *y);         \
        void (*network)(const pepg_network *network, int streams, ptrdiff_t batch,                 \
                const real *weights, const real *x, ptrdiff_t x_stride, real *y, real *work);      \
        void (*recurrent)(const pepg_network *network, int streams, ptrdiff_t batch,               \
                const real *weights, const real *x, ptrdiff_t x_stride, real *state, real *y,      \
                real *work);                                                                       \
        void (*recurrent_lanes)(const pepg_network *network, const real *weights, const real *x,   \
                real *state, real *y);                                                             \
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
