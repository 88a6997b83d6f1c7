/* The shape of a multilayer perceptron, from the arguments of the public functions. */
#ifndef PEPG_NETWORK_H
#define PEPG_NETWORK_H

#include "kernels.h"

/* Nanoseconds a weight costs in a forward pass, roughly: decides only whether a team is worth
 * waking. */
#define MULTIPLY_COST 0.07

static inline int is_activation(int code) { return code >= PEPG_IDENTITY && code <= PEPG_SOFTMAX; }

static inline pepg_network network_of(int n_layers, const ptrdiff_t *sizes, int bias, int hidden,
                                      int output) {
    return (pepg_network){n_layers, bias != 0, hidden, output, sizes};
}

/* Whether members pass one a lane: few parameters, element-wise activations. */
static inline int passes_in_lanes(const pepg_network *network, ptrdiff_t parameters) {
    return parameters <= PEPG_FEW_PARAMETERS && network->hidden != PEPG_SOFTMAX &&
           network->output != PEPG_SOFTMAX;
}

#endif
