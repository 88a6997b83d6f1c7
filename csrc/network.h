/* Shared by the files for forward passes. */
#ifndef PEPG_NETWORK_H
#define PEPG_NETWORK_H

#include "checks.h"
#include "kernels.h"

/* Approximate nanoseconds per weight in a forward pass: decides only whether a team is worthwhile. */
#define MULTIPLY_COST 0.07

static inline int is_activation(int code) { return code >= PEPG_IDENTITY && code <= PEPG_SOFTMAX; }

/* Number of parameters of a valid network, else 0. */
static inline ptrdiff_t parameters_of(const pepg_network *network) {
    if (!network || !is_activation(network->output)) return 0;
    if (!is_activation(network->hidden) && !gates_of(network)) return 0;
    return pepg_network_parameters(network);
}

/* A network in the form that kernels need, with `bias` as a number of rows. */
static inline pepg_network network_of(const pepg_network *given) {
    pepg_network network = *given;
    network.bias = given->bias != 0;
    return network;
}

/* Whether a network can act in an environment. */
static inline int is_environment_valid(
        const pepg_environment *environment, const pepg_network *network) {
    return is_readable(environment, sizeof *environment) && environment->reset &&
            environment->step && environment->state_size >= 1 && environment->max_steps >= 1 &&
            !environment->make_context == !environment->free_context &&
            (environment->clip || !environment->scale) && parameters_of(network) &&
            (!environment->n_choices ||
                    environment->n_choices == network->sizes[network->n_layers]);
}

/* Whether each lane has one member: few parameters, element-wise activations. */
static inline int passes_in_lanes(const pepg_network *network, ptrdiff_t parameters) {
    return parameters <= PEPG_FEW_PARAMETERS && network->hidden != PEPG_SOFTMAX &&
            network->output != PEPG_SOFTMAX;
}

#endif
