# Low-rank noise: candidates, gradients, and forward passes that make no candidate.


@cython.final
cdef class Tensors:
    """What parameters consist of, for low-rank noise of them: `shapes` are pairs (rows, columns), rows 0 for a vector."""

    cdef pepg_tensors c
    cdef Py_ssize_t* shapes
    cdef readonly Py_ssize_t n_parameters, n_factors

    def __cinit__(self, shapes, Py_ssize_t rank):
        cdef Py_ssize_t i
        cdef tuple pairs = tuple(shapes)
        self.shapes = <Py_ssize_t*>_scratch(2 * len(pairs) * sizeof(Py_ssize_t), "shapes")
        for i in range(len(pairs)):
            self.shapes[2 * i], self.shapes[2 * i + 1] = pairs[i]
        self.c.n_tensors, self.c.rank, self.c.shapes = len(pairs), rank, self.shapes
        self.n_parameters = c_pepg_tensors_parameters(&self.c)
        self.n_factors = c_pepg_tensors_factors(&self.c)
        if self.n_factors == 0:
            _fail("shapes", "positive sizes whose numbers can be counted, and a rank from 1 on", f"{shapes}, rank {rank}")

    def __dealloc__(self):
        free(self.shapes)

    def __reduce__(self):
        pairs = [(self.shapes[2 * i], self.shapes[2 * i + 1]) for i in range(self.c.n_tensors)]
        return Tensors, (pairs, self.c.rank)

    def sample(self, cnp.ndarray factors not None, cnp.ndarray mu, cnp.ndarray sigma not None,
               cnp.ndarray theta not None, int n_threads=0):
        """Write ``mu + sigma E`` into `theta` (n, parameters), from `factors` (n, n_factors); `mu` None for the noise alone."""
        cdef int width = _width(theta, "theta")
        cdef Py_ssize_t n = _rows(theta, "theta"), d = self.n_parameters
        cdef float* f = <float*>_data(factors, "factors", cnp.NPY_FLOAT, n * self.n_factors, False)
        cdef void* m = _optional(mu, "mu", width, d, False)
        cdef void* s = _data(sigma, "sigma", width, self.c.n_tensors, False)
        cdef void* t = _data(theta, "theta", width, n * d, True)
        run_low_rank_sample(width, &self.c, n, f, m, s, t, n_threads)

    def gradient(self, cnp.ndarray factors not None, cnp.ndarray delta not None, cnp.ndarray sigma not None,
                 cnp.ndarray g_mu not None, int n_threads=0):
        """Write the gradient of the mean into `g_mu` (parameters,), from `factors` (n, n_factors) and `delta` (n,)."""
        cdef int width = _width(g_mu, "g_mu")
        cdef Py_ssize_t n = _count(delta, "delta")
        cdef float* f = <float*>_data(factors, "factors", cnp.NPY_FLOAT, n * self.n_factors, False)
        cdef double* w = <double*>_data(delta, "delta", cnp.NPY_DOUBLE, n, False)
        cdef void* s = _data(sigma, "sigma", width, self.c.n_tensors, False)
        cdef void* g = _data(g_mu, "g_mu", width, self.n_parameters, True)
        cdef void* work = _scratch(c_pepg_low_rank_gradient_work_size(n_threads) * cnp.PyArray_ITEMSIZE(g_mu), "g_mu")
        try:
            run_low_rank_gradient(width, &self.c, n, f, w, s, g, work, n_threads)
        finally:
            free(work)

    cdef bint _are_of(self, Perceptron network):
        cdef Py_ssize_t i, of_layer = 1 + network.c.bias
        cdef Py_ssize_t* shape = self.shapes
        if network.state_size or self.c.n_tensors != network.c.n_layers * of_layer:
            return False
        for i in range(network.c.n_layers):
            if shape[0] != network.sizes[i] or shape[1] != network.sizes[i + 1]:
                return False
            if network.c.bias and (shape[2] != 0 or shape[3] != network.sizes[i + 1]):
                return False
            shape += 2 * of_layer
        return True

    def forward(self, Perceptron network not None, cnp.ndarray factors not None, cnp.ndarray mu not None,
                cnp.ndarray sigma not None, cnp.ndarray members, cnp.ndarray inputs not None, int n_threads=0):
        """Outputs (n, out) or (n, batch, out) of `members` (n,), or of the first n where it is None, for `inputs` (n, in)
        or (n, batch, in), whose vectors are contiguous; strides between them are free, 0 included.
        """
        cdef int width = _width(mu, "mu"), input_dims = cnp.PyArray_NDIM(inputs)
        cdef Py_ssize_t item = cnp.PyArray_ITEMSIZE(mu), n_pairs = _rows(factors, "factors"), batch = 1, input_stride = 0, n
        cdef float* f = <float*>_data(factors, "factors", cnp.NPY_FLOAT, n_pairs * self.n_factors, False)
        cdef void* m = _data(mu, "mu", width, network.n_parameters, False)
        cdef void* s = _data(sigma, "sigma", width, self.c.n_tensors, False)
        if not self._are_of(network):
            _fail("network", "one of these tensors, without a cell", "another")
        _check_rows(inputs, "inputs", width, network.n_inputs)
        n = cnp.PyArray_DIM(inputs, 0)
        cdef Py_ssize_t* who = <Py_ssize_t*>_optional(members, "members", cnp.NPY_INTP, n, False)
        if not 2 <= input_dims <= 3 or n < 1 or (who == NULL and n > 2 * n_pairs):
            _fail("inputs", "one input or batch for each member", f"shape {(<object>inputs).shape}")
        if who != NULL and not (0 <= members.min() and members.max() < 2 * n_pairs):
            _fail("members", f"indices from 0 to {2 * n_pairs - 1}", f"{members.min()} to {members.max()}")
        if input_dims == 3:
            batch = cnp.PyArray_DIM(inputs, 1)
            input_stride = cnp.PyArray_STRIDE(inputs, 1) // item
        cdef cnp.ndarray y = network._outputs(inputs, width, n, batch)
        cdef size_t needed = c_pepg_low_rank_forward_work_size(&network.c, self.c.rank, n_threads)
        cdef void* work = _scratch(needed * item, "inputs")
        try:
            run_low_rank_forward(
                width, &network.c, self.c.rank, n_pairs, f, m, s, n, who, batch, cnp.PyArray_DATA(inputs),
                cnp.PyArray_STRIDE(inputs, 0) // item, input_stride, cnp.PyArray_DATA(y), work, n_threads)
        finally:
            free(work)
        return y
