/* Multilayer perceptrons and recurrent networks. */
#include "network.h"
#include "dispatch.h"
#include "tasks.h"

#include <string.h>

/* Count the weights of a block with `rows` rows and `times` * `columns` columns; return whether the
 * number does not overflow. */
static int add_block(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t times, ptrdiff_t *total) {
    const ptrdiff_t most = PTRDIFF_MAX / 8;
    if (columns > most / times || rows > (most - *total) / (columns * times)) return 0;
    *total += rows * columns * times;
    return 1;
}

ptrdiff_t pepg_network_parameters(const pepg_network *network) {
    const ptrdiff_t *sizes = network ? network->sizes : NULL;
    ptrdiff_t total = 0;
    if (!sizes || network->n_layers < 1 || sizes[0] < 1) return 0;
    const ptrdiff_t gates = gates_of(network);
    if (gates && (network->n_layers != 2 || sizes[1] < 1)) return 0;
    for (int l = 0; l < network->n_layers; ++l) {
        if (sizes[l + 1] < 1 || sizes[l] > PTRDIFF_MAX / 8) return 0;
        const ptrdiff_t rows = sizes[l] + (network->bias != 0);
        if (!add_block(rows, sizes[l + 1], l == 0 && gates ? gates : 1, &total)) return 0;
    }
    if (gates && !add_block(sizes[1] + (network->bias != 0), sizes[1], gates, &total)) return 0;
    return total;
}

ptrdiff_t pepg_network_state_size(const pepg_network *network) {
    return parameters_of(network) ? state_size_of(network) : 0;
}

/* Two rows per batch entry, used in turns; and a cache line, so that workers do not share one. */
static size_t scratch_per_worker(const pepg_network *network, ptrdiff_t batch) {
    return 2 * (size_t)min_size(batch, PEPG_BATCH) * (size_t)PEPG_PADDED(widest_of(network)) +
            COLUMN_SHARE;
}

size_t pepg_forward_work_size(const pepg_network *network, ptrdiff_t batch, int n_threads) {
    if (batch < 1 || !pepg_network_parameters(network)) return 0;
    const size_t workers = (size_t)pepg_available_threads(n_threads);
    if ((size_t)widest_of(network) > PTRDIFF_MAX / 32 / PEPG_BATCH / workers) return 0;
    return scratch_per_worker(network, batch) * workers;
}

#define EACH_WIDTH "networks_real.inc"
#include "width.h"
