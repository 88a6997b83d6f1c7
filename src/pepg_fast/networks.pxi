# Multilayer perceptrons and recurrent networks.

cdef enum:
    STACK_SCRATCH = 1024  # doubles on the stack before scratch memory is allocated
    MOST_LAYERS = 1 << 20


@cython.final
cdef class Perceptron:
    """The shape of a network, ready for the forward kernels; it has neither weights nor a state.

    `hidden` is an activation, or one of `CELLS` for a recurrent network of two layers.
    """

    cdef pepg_network c
    cdef Py_ssize_t* sizes
    cdef readonly Py_ssize_t n_inputs, n_outputs, n_parameters, state_size
    cdef size_t single_work

    def __cinit__(self, sizes, bint bias, int hidden, int output):
        cdef int i
        cdef tuple widths = tuple(sizes)  # a copy, whose length cannot change
        if not 2 <= len(widths) <= MOST_LAYERS:
            _fail("sizes", f"2 to {MOST_LAYERS} of them", len(widths))
        if hidden not in CELLS.values():
            _check_activation("hidden", hidden)
        elif len(widths) != 3:
            _fail("sizes", "3 of them with a cell", len(widths))
        _check_activation("output", output)
        self.sizes = <Py_ssize_t*>_scratch(len(widths) * sizeof(Py_ssize_t), "sizes")
        for i in range(<int>len(widths)):
            self.sizes[i] = widths[i]
        self.c.n_layers, self.c.sizes = <int>len(widths) - 1, self.sizes
        self.c.bias, self.c.hidden, self.c.output = bias, hidden, output
        self.n_inputs, self.n_outputs = self.sizes[0], self.sizes[self.c.n_layers]
        self.n_parameters = c_pepg_network_parameters(&self.c)
        if self.n_parameters == 0:
            _fail("sizes", "positive sizes whose parameters can be counted", list(sizes))
        self.state_size = c_pepg_network_state_size(&self.c)
        self.single_work = c_pepg_forward_work_size(&self.c, 1, 1)
        if self.single_work == 0:
            _fail("sizes", "layers that there can be memory for", list(sizes))

    def __dealloc__(self):
        free(self.sizes)

    @property
    def n_layers(self):
        """Number of weight blocks."""
        return self.c.n_layers

    def __reduce__(self):
        return Perceptron, ([self.sizes[i] for i in range(self.c.n_layers + 1)], bool(self.c.bias), self.c.hidden,
                            self.c.output)

    def one(self, cnp.ndarray weights not None, value):
        """Return the outputs (out,) float64 for a float64 vector or a list of numbers; None for any other input."""
        cdef cnp.npy_intp outputs = self.n_outputs
        cdef double[STACK_SCRATCH] stack
        cdef bint is_list = type(value) is list
        cdef size_t needed = self.single_work + (self.n_inputs if is_list else 0)
        cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, self.n_parameters, False)
        cdef double* allocated = NULL
        cdef double* work = stack
        cdef double* x
        if not is_list and not _is_float64_vector(value, self.n_inputs):
            return None
        cdef cnp.ndarray y = cnp.PyArray_EMPTY(1, &outputs, cnp.NPY_DOUBLE, False)
        if needed > STACK_SCRATCH:
            work = allocated = <double*>_scratch(needed * sizeof(double), "weights")
        try:
            if is_list:
                x = work + self.single_work
                if not _numbers_of_list(<list>value, self.n_inputs, x):
                    return None
            else:
                x = <double*>cnp.PyArray_DATA(<cnp.ndarray>value)
            run_forward(cnp.NPY_DOUBLE, &self.c, 1, w, x, cnp.PyArray_DATA(y), work, 0)
        finally:
            free(allocated)
        return y

    def batch(self, cnp.ndarray weights not None, cnp.ndarray x not None, cnp.ndarray y not None, int n_threads=0):
        """Write the outputs of `x` (batch, in) into `y` (batch, out), with one set of weights and one dtype."""
        cdef int width = _width(weights, "weights")
        cdef Py_ssize_t batch = cnp.PyArray_SIZE(x) // self.n_inputs
        cdef void* w = _data(weights, "weights", width, self.n_parameters, False)
        cdef void* px = _data(x, "x", width, batch * self.n_inputs, False)
        cdef void* py = _data(y, "y", width, batch * self.n_outputs, True)
        cdef void* work = _scratch(self.work_size(x, batch, n_threads), "x")
        try:
            run_forward(width, &self.c, batch, w, px, py, work, n_threads)
        finally:
            free(work)

    # The number of bytes of scratch.
    cdef size_t work_size(self, cnp.ndarray inputs, Py_ssize_t batch, int n_threads) except 0:
        cdef size_t needed = c_pepg_forward_work_size(&self.c, batch, n_threads)
        if needed == 0:
            _fail("inputs", "at least one, and no more than there can be memory for", f"shape {(<object>inputs).shape}")
        return needed * sizeof(double)

    def population(self, cnp.ndarray solutions not None, cnp.ndarray inputs not None, int n_threads=0):
        """Return outputs (n, out) or (n, batch, out) of `solutions` (n, parameters) for `inputs` (n, [batch,] in).

        Both have the same dtype. Rows of `solutions` and vectors of `inputs` must be contiguous; strides between them
        are free, and may be 0.
        """
        return self._forward(solutions, inputs, None, n_threads)

    def recur(self, cnp.ndarray solutions not None, cnp.ndarray inputs not None, cnp.ndarray state not None,
              int n_threads=0):
        """One step of recurrent networks: outputs as those of `population`, whose arguments these are.

        `state` (n, state size) or (n, batch, state size), contiguous, is read and written; it overlaps neither.
        """
        if self.state_size == 0:
            _fail("network", "one with a cell, which has a state", "one without")
        return self._forward(solutions, inputs, state, n_threads)

    # The outputs of `population`, or of `recur` with a state.
    cdef cnp.ndarray _forward(self, cnp.ndarray solutions, cnp.ndarray inputs, cnp.ndarray state, int n_threads):
        cdef int width = _width(solutions, "solutions")
        cdef Py_ssize_t item = cnp.PyArray_ITEMSIZE(solutions), n = _rows(solutions, "solutions")
        cdef Py_ssize_t batch = self._batch_of(solutions, inputs, width, n)
        cdef Py_ssize_t input_stride = cnp.PyArray_STRIDE(inputs, 1) // item if cnp.PyArray_NDIM(inputs) == 3 else 0
        cdef double[STACK_SCRATCH] stack
        cdef void* allocated = NULL
        cdef void* own = _optional(state, "state", width, n * batch * self.state_size, True)
        cdef size_t needed = self.work_size(inputs, batch if n else 0, n_threads)
        cdef cnp.ndarray y = self._outputs(inputs, width, n, batch)
        if needed > sizeof(stack):
            allocated = _scratch(needed, "inputs")
        cdef void* work = stack if allocated == NULL else allocated
        cdef void* x = cnp.PyArray_DATA(inputs)
        cdef void* theta = cnp.PyArray_DATA(solutions)
        cdef Py_ssize_t row = cnp.PyArray_STRIDE(solutions, 0) // item, stride = cnp.PyArray_STRIDE(inputs, 0) // item
        try:
            if own == NULL:
                run_forward_population(width, &self.c, n, batch, theta, row, x, stride, input_stride, cnp.PyArray_DATA(y),
                                       work, n_threads)
            else:
                run_forward_recurrent(width, &self.c, n, batch, theta, row, x, stride, input_stride, own,
                                      cnp.PyArray_DATA(y), work, n_threads)
        finally:
            free(allocated)
        return y

    # The number of inputs for each of n members.
    cdef Py_ssize_t _batch_of(self, cnp.ndarray solutions, cnp.ndarray inputs, int width, Py_ssize_t n) except -1:
        cdef int input_dims = cnp.PyArray_NDIM(inputs)
        _check_rows(solutions, "solutions", width, self.n_parameters)
        _check_rows(inputs, "inputs", width, self.n_inputs)
        if not 2 <= input_dims <= 3 or cnp.PyArray_DIM(inputs, 0) != n:
            _fail("inputs", f"one input or batch for each of {n} members", f"shape {(<object>inputs).shape}")
        return cnp.PyArray_DIM(inputs, 1) if input_dims == 3 else 1

    # A new array for the outputs.
    cdef cnp.ndarray _outputs(self, cnp.ndarray inputs, int width, Py_ssize_t n, Py_ssize_t batch):
        cdef cnp.npy_intp[3] shape
        cdef int input_dims = cnp.PyArray_NDIM(inputs)
        shape[0], shape[1], shape[2] = n, batch, self.n_outputs
        if input_dims == 2:
            shape[1] = shape[2]
        return cnp.PyArray_EMPTY(input_dims, shape, width, False)


cdef inline bint _is_float64_vector(value, Py_ssize_t n):
    return (type(value) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>value) == cnp.NPY_DOUBLE
            and cnp.PyArray_NDIM(<cnp.ndarray>value) == 1 and cnp.PyArray_DIM(<cnp.ndarray>value, 0) == n
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>value))


# Check for rows of `columns` numbers, each contiguous and aligned, with any strides between them.
cdef inline int _check_rows(cnp.ndarray a, str name, int width, Py_ssize_t columns) except -1:
    cdef int last = cnp.PyArray_NDIM(a) - 1, axis
    cdef Py_ssize_t item = cnp.PyArray_ITEMSIZE(a)
    if cnp.PyArray_TYPE(a) != width or not cnp.PyArray_ISNOTSWAPPED(a):
        _fail(name, f"dtype {cnp.PyArray_DescrFromType(width)}", a.dtype)
    if last < 1 or cnp.PyArray_DIM(a, last) != columns:
        _fail(name, f"rows of {columns} numbers", f"shape {(<object>a).shape}")
    if not cnp.PyArray_ISALIGNED(a) or (columns > 1 and cnp.PyArray_STRIDE(a, last) != item):
        _fail(name, "aligned, contiguous rows", f"strides {(<object>a).strides}")
    for axis in range(last):
        if cnp.PyArray_DIM(a, axis) > 1 and cnp.PyArray_STRIDE(a, axis) % item != 0:
            _fail(name, f"strides of whole numbers ({item} bytes)", f"strides {(<object>a).strides}")
    return 0


cdef inline int _check_activation(str name, int code) except -1:
    return 0 if PEPG_IDENTITY <= code <= PEPG_SOFTMAX else _fail(name, f"one of {ACTIVATIONS}", code)


def activate(int activation, cnp.ndarray values not None):
    """Apply an activation to one vector, in place."""
    cdef int width = _width(values, "values")
    cdef Py_ssize_t n = _count(values, "values")
    cdef void* x = _data(values, "values", width, n, True)
    _check_activation("activation", activation)
    run_activate(width, n, activation, x)
