/* Populations of small networks, with one member a lane. */

/* Up to LANES members of a population; whether they have states is a compile-time constant. */
PEPG_INLINE void R(few_members)(const int has_state, const pepg_network *network, ptrdiff_t members,
        ptrdiff_t batch, const real *weights, ptrdiff_t weights_stride, const real *x,
        ptrdiff_t member_stride, ptrdiff_t input_stride, real *state, real *y) {
    v_real transposed[PEPG_FEW_PARAMETERS], values[PEPG_FEW_PARAMETERS];
    v_real states[has_state ? PEPG_FEW_PARAMETERS : 1];
    real *const w = (real *)transposed, *const input = (real *)values, *const own = (real *)states;
    const ptrdiff_t in = network->sizes[0], outputs = network->sizes[network->n_layers];
    const ptrdiff_t parameters = parameters_in(network), numbers = state_size_of(network);
    for (int lane = 0; lane < LANES; ++lane) {
        const real *from = weights + (lane < members ? lane : members - 1) * weights_stride;
        for (ptrdiff_t p = 0; p < parameters; ++p) w[p * LANES + lane] = from[p];
    }
    for (ptrdiff_t b = 0; b < batch; ++b) {
        for (int lane = 0; lane < LANES; ++lane) {
            const ptrdiff_t member = lane < members ? lane : members - 1;
            const real *from = x + member * member_stride + b * input_stride;
            for (ptrdiff_t i = 0; i < in; ++i) input[i * LANES + lane] = from[i];
            if (has_state)
                for (ptrdiff_t s = 0; s < numbers; ++s)
                    own[s * LANES + lane] = state[(member * batch + b) * numbers + s];
        }
        if (has_state)
            R(recurrent_lanes_block)(network, w, input, own, input);
        else
            R(pass_lanes_block)(network, w, input, input);
        for (ptrdiff_t lane = 0; lane < members; ++lane) {
            for (ptrdiff_t o = 0; o < outputs; ++o)
                y[(lane * batch + b) * outputs + o] = input[o * LANES + lane];
            if (has_state)
                for (ptrdiff_t s = 0; s < numbers; ++s)
                    state[(lane * batch + b) * numbers + s] = own[s * LANES + lane];
        }
    }
}

/* Any number of members; `state` (members, batch, state size) of networks with a cell, else NULL. */
static void R(members_block)(const pepg_network *network, ptrdiff_t members, ptrdiff_t batch,
        const real *weights, ptrdiff_t weights_stride, const real *x, ptrdiff_t member_stride,
        ptrdiff_t input_stride, real *state, real *y) {
    const ptrdiff_t outputs = batch * network->sizes[network->n_layers];
    for (ptrdiff_t lo = 0; lo < members; lo += LANES) {
        const ptrdiff_t n = members - lo < LANES ? members - lo : LANES;
        const real *w = weights + lo * weights_stride, *input = x + lo * member_stride;
        if (state)
            R(few_members)(1, network, n, batch, w, weights_stride, input, member_stride, input_stride,
                    state + lo * batch * state_size_of(network), y + lo * outputs);
        else
            R(few_members)(0, network, n, batch, w, weights_stride, input, member_stride, input_stride,
                    NULL, y + lo * outputs);
    }
}
