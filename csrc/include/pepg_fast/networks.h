/* Multilayer perceptrons and recurrent networks (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_NETWORKS_H
#define PEPG_FAST_NETWORKS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    PEPG_IDENTITY = 0,
    PEPG_SIGMOID = 1, /* 1 / (1 + e^-x) */
    PEPG_TANH = 2,
    PEPG_RELU = 3,   /* max(x, 0) */
    PEPG_SOFTMAX = 4 /* e^(x - max x) / sum, over one layer's whole vector */
} pepg_activation;

/* Cells. In a network of two layers, `hidden` may also be a cell: the hidden layer then has a state,
 * which is kept from one input to the next. With a = x W_x + b_x and b = h W_h + b_h, whose columns
 * are the gates in the order of the blocks of weights:
 *
 *   PEPG_ELMAN  h          h = tanh(a + b)
 *   PEPG_GRU    r, z, n    r, z = sigmoid(a + b); n = tanh(a + r b); h = (1 - z) n + z h
 *   PEPG_LSTM   i, f, g, o  i, f, o = sigmoid(a + b); g = tanh(a + b); c = f c + i g; h = o tanh(c)
 *
 * An output layer follows, whose inputs are h. The state of a network is h, followed by c. */
typedef enum {
    PEPG_ELMAN = 16, /* one gate; the state is h */
    PEPG_GRU = 17,   /* three gates; the state is h */
    PEPG_LSTM = 18   /* four gates; the state is h and c */
} pepg_cell;

/* A network without its weights. All layers except the last have the activation `hidden`. */
typedef struct {
    int n_layers;           /* number of weight blocks */
    int bias;               /* whether the last row of a block has biases */
    int hidden, output;     /* pepg_activation; `hidden` may be a pepg_cell */
    const ptrdiff_t *sizes; /* n_layers + 1 layer sizes, input first */
} pepg_network;

/* Number of parameters of a network: for each layer a row-major block (in, out) and, with bias, a row
 * of biases after it. The hidden layer of a network with a cell has two such blocks, (inputs, gates *
 * hidden) and (hidden, gates * hidden). 0 if the number overflows, or a size is < 1. */
PEPG_API ptrdiff_t pepg_network_parameters(const pepg_network *network);

/* Number of elements in the state of a network; 0 without a cell. */
PEPG_API ptrdiff_t pepg_network_state_size(const pepg_network *network);

/* Elements (not bytes) of scratch for the forward functions below; 0 for impossible sizes. */
PEPG_API size_t pepg_forward_work_size(const pepg_network *network, ptrdiff_t batch, int n_threads);

/* y (batch, outputs) = network(x) for a network without a cell and one set of weights, x (batch,
 * inputs) contiguous. Results are within rounding of exact arithmetic; the bits of an output depend
 * on the instruction set, but not on batch or threads. */
PEPG_API pepg_status pepg_forward(const pepg_network *network, ptrdiff_t batch, const double *weights,
        const double *x, double *y, double *work, int n_threads);
PEPG_API pepg_status pepg_forward_f32(const pepg_network *network, ptrdiff_t batch,
        const float *weights, const float *x, float *y, float *work, int n_threads);

/* y (n, batch, outputs): the weights of member i begin at weights[i * weights_stride], and its input
 * b begins at x[i * member_stride + b * input_stride]. A stride of 0 gives every member (or batch
 * entry) the same input. */
PEPG_API pepg_status pepg_forward_population(const pepg_network *network, ptrdiff_t n,
        ptrdiff_t batch, const double *weights, ptrdiff_t weights_stride, const double *x,
        ptrdiff_t member_stride, ptrdiff_t input_stride, double *y, double *work, int n_threads);
PEPG_API pepg_status pepg_forward_population_f32(const pepg_network *network, ptrdiff_t n,
        ptrdiff_t batch, const float *weights, ptrdiff_t weights_stride, const float *x,
        ptrdiff_t member_stride, ptrdiff_t input_stride, float *y, float *work, int n_threads);

/* The same for networks with a cell: one step of each. The state (n, batch, state size), contiguous,
 * is read and written; a new episode begins with zeros. */
PEPG_API pepg_status pepg_forward_recurrent(const pepg_network *network, ptrdiff_t n, ptrdiff_t batch,
        const double *weights, ptrdiff_t weights_stride, const double *x, ptrdiff_t member_stride,
        ptrdiff_t input_stride, double *state, double *y, double *work, int n_threads);
PEPG_API pepg_status pepg_forward_recurrent_f32(const pepg_network *network, ptrdiff_t n,
        ptrdiff_t batch, const float *weights, ptrdiff_t weights_stride, const float *x,
        ptrdiff_t member_stride, ptrdiff_t input_stride, float *state, float *y, float *work,
        int n_threads);

/* values = activation(values) for one vector of n values, in place. */
PEPG_API pepg_status pepg_activate(ptrdiff_t n, int activation, double *values);
PEPG_API pepg_status pepg_activate_f32(ptrdiff_t n, int activation, float *values);

#ifdef __cplusplus
}
#endif

#endif
