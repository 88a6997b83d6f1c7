/* Forward passes of networks with a cell (networks.h has the formulas): one step of each network.
 *
 * The contributions of the inputs and of the state to the gates are computed as layers, so what
 * forward.c says about bits holds here, too. The new state of a unit depends only on its own gates.
 */

/* Load up to LANES elements. */
PEPG_INLINE v_real R(load_some)(const real *p, ptrdiff_t count) {
    return count < LANES ? R(load_first)(p, count) : R(load)(p);
}

PEPG_INLINE void R(store_some)(real *p, v_real v, ptrdiff_t count) {
    if (count < LANES)
        R(store_first)(p, v, count);
    else
        memcpy(p, &v, sizeof v);
}

/* Compute the state of n units from their gates. `inputs` and `own` have the contributions of the
 * inputs and of the state, in a row of n for each gate. `cell` is a compile-time constant. */
PEPG_INLINE void R(cell_units)(
        const int cell, ptrdiff_t n, const real *inputs, const real *own, real *state) {
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const ptrdiff_t count = n - j < LANES ? n - j : LANES;
#define OF_INPUT(gate) R(load_some)(inputs + (gate) * n + j, count)
#define OF_STATE(gate) R(load_some)(own + (gate) * n + j, count)
#define GATE(gate) (OF_INPUT(gate) + OF_STATE(gate))
        v_real h;
        if (cell == PEPG_ELMAN) {
            h = R(tanh_vector)(GATE(0));
        } else if (cell == PEPG_GRU) {
            const v_real r = R(sigmoid_vector)(GATE(0)), z = R(sigmoid_vector)(GATE(1));
            const v_real fresh = R(tanh_vector)(R(fma)(r, OF_STATE(2), OF_INPUT(2)));
            h = R(fma)(z, R(load_some)(state + j, count) - fresh, fresh);
        } else {
            const v_real i = R(sigmoid_vector)(GATE(0)), f = R(sigmoid_vector)(GATE(1));
            const v_real g = R(tanh_vector)(GATE(2)), o = R(sigmoid_vector)(GATE(3));
            const v_real c = R(fma)(f, R(load_some)(state + n + j, count), i * g);
            R(store_some)(state + n + j, c, count);
            h = o * R(tanh_vector)(c);
        }
#undef GATE
#undef OF_STATE
#undef OF_INPUT
        R(store_some)(state + j, h, count);
    }
}

static void R(cell_block)(int cell, ptrdiff_t n, const real *inputs, const real *own, real *state) {
    switch (cell) {
    case PEPG_ELMAN: R(cell_units)(PEPG_ELMAN, n, inputs, own, state); break;
    case PEPG_GRU: R(cell_units)(PEPG_GRU, n, inputs, own, state); break;
    default: R(cell_units)(PEPG_LSTM, n, inputs, own, state); break;
    }
}

/* Pass `batch` inputs through one network, to y, row-major (batch, outputs), with the states (batch,
 * state size). `work` is as for network_block. */
static void R(recurrent_block)(const pepg_network *network, int streams, ptrdiff_t batch,
        const real *weights, const real *x, ptrdiff_t x_stride, real *state, real *y, real *work) {
    const ptrdiff_t in = network->sizes[0], hidden = network->sizes[1], out = network->sizes[2];
    const ptrdiff_t gates = gates_of(network) * hidden, numbers = state_size_of(network);
    const ptrdiff_t stride = (gates + LANES - 1) / LANES * LANES;
    const ptrdiff_t out_stride = (out + LANES - 1) / LANES * LANES;
    const ptrdiff_t chunk = batch < PEPG_BATCH ? batch : PEPG_BATCH;
    real *const of_state = work + chunk * PEPG_PADDED(widest_of(network));
    const real *own = weights + (in + network->bias) * gates;
    const real *last = own + (hidden + network->bias) * gates;
    for (ptrdiff_t lo = 0; lo < batch; lo += chunk, state += chunk * numbers) {
        const ptrdiff_t rows = batch - lo < chunk ? batch - lo : chunk;
        R(layer_block)(rows, (pepg_layer){in, gates, 0, gates, network->bias, streams}, weights,
                x + lo * x_stride, x_stride, work, stride);
        R(layer_block)(rows, (pepg_layer){hidden, gates, 0, gates, network->bias, streams}, own, state,
                numbers, of_state, stride);
        for (ptrdiff_t r = 0; r < rows; ++r)
            R(cell_block)(network->hidden, hidden, work + r * stride, of_state + r * stride,
                    state + r * numbers);
        R(layer_block)(rows, (pepg_layer){hidden, out, 0, out, network->bias, streams}, last, state,
                numbers, work, out_stride);
        R(activate_rows)(rows, out, out_stride, network->output, work);
        R(copy_rows)(rows, out, work, out_stride, y + lo * out);
    }
}

/* Compute the outputs of LANES small networks at once, laid out as for pass_lanes_block, and so is
 * `state`. */
static void R(recurrent_lanes_block)(
        const pepg_network *network, const real *weights, const real *x, real *state, real *y) {
    v_real of_input[PEPG_FEW_PARAMETERS], of_state[PEPG_FEW_PARAMETERS];
    const ptrdiff_t in = network->sizes[0], hidden = network->sizes[1], out = network->sizes[2];
    const ptrdiff_t gates = gates_of(network) * hidden;
    const v_real *w = (const v_real *)weights, *own = w + (in + network->bias) * gates;
    R(lane_layer)(in, gates, network->bias, w, (const v_real *)x, of_input);
    R(lane_layer)(hidden, gates, network->bias, own, (const v_real *)state, of_state);
    R(cell_block)(
            network->hidden, hidden * LANES, (const real *)of_input, (const real *)of_state, state);
    R(lane_layer)(hidden, out, network->bias, own + (hidden + network->bias) * gates,
            (const v_real *)state, of_input);
    R(activate_block)(out * LANES, network->output, (real *)of_input);
    memcpy(y, of_input, (size_t)out * sizeof(v_real));
}
