# The parts of the run loop in C: rows of a history, and whole generations of a native fitness.

cdef extern from "row.h" nogil:
    enum:
        ROW_STEP, ROW_EVALUATIONS, ROW_INTERACTIONS, ROW_SECONDS, ROW_BEST_FITNESS, ROW_COLUMNS

cdef extern from "memory.h" nogil:
    enum: ALIGNMENT
    char* first_aligned(void* memory)

cdef extern from "search.h" nogil:
    size_t pepg_run_stride(Py_ssize_t dim, Py_ssize_t rows, size_t width)

cdef enum:
    FEW = 512  # doubles of scratch on the stack


def write_row(cnp.ndarray table not None, Py_ssize_t index, double step, double evaluations, double interactions,
              double seconds, double best_fitness, cnp.ndarray rewards not None, bint maximize, cnp.ndarray sigma not None,
              cnp.ndarray gradient, int n_threads=0):
    """Write row `index` of a history's `table` (n, columns): these numbers, and statistics of the arrays.

    `rewards` (n,) are read as float64; `sigma` (dim,) is float64 or float32; `gradient` is like `sigma`, or None.
    """
    if cnp.PyArray_TYPE(rewards) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(rewards):
        rewards = np.array(rewards, np.float64, order="C")  # which is also aligned
    cdef Py_ssize_t n = cnp.PyArray_SIZE(rewards), dim = cnp.PyArray_SIZE(sigma)
    cdef int width = _width(sigma, "sigma")
    cdef double[FEW] stack
    cdef double* row = <double*>_data(table, "table", cnp.NPY_DOUBLE, cnp.PyArray_SIZE(table), True) + index * ROW_COLUMNS
    cdef double* r = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n, False)
    cdef void* s = _data(sigma, "sigma", width, dim, False)
    cdef void* g = _optional(gradient, "gradient", width, dim, False)
    if not 0 <= index < cnp.PyArray_SIZE(table) // ROW_COLUMNS or dim < 1:
        _fail("index", "one of the table's rows", index)
    cdef size_t needed = c_pepg_row_work_size(n, dim)
    cdef void* allocated = NULL if needed <= sizeof(stack) else _scratch(needed, "rewards")
    cdef void* work = stack if allocated == NULL else allocated
    row[ROW_STEP], row[ROW_EVALUATIONS], row[ROW_INTERACTIONS] = step, evaluations, interactions
    row[ROW_SECONDS], row[ROW_BEST_FITNESS] = seconds, best_fitness
    with nogil:
        any_row(width, n, r, not maximize, dim, s, g, n_threads, work, row)
        free(allocated)


def evaluate_natively(uintptr_t function, uintptr_t data, cnp.ndarray solutions not None, cnp.ndarray rewards not None,
                      int n_threads=0):
    """Write the fitness of each of `solutions` (n, dim) float64 into `rewards` (n,), with a native function."""
    cdef Py_ssize_t n = _count(rewards, "rewards"), dim = _count(solutions, "solutions") // n
    if dim < 1:
        _fail("solutions", f"numbers for each of {n} candidates", cnp.PyArray_SIZE(solutions))
    cdef double* theta = <double*>_data(solutions, "solutions", cnp.NPY_DOUBLE, n * dim, False)
    cdef double* r = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n, True)
    cdef list raised = []
    cdef void* context = <void*>raised
    cdef int status
    with nogil:
        status = c_pepg_evaluate(<pepg_fitness*>function, <void*>data, n, dim, theta, r, _interrupted, context, n_threads)
    if raised:
        raise raised[0]
    _raise(status)


def run_natively(dict es not None, uintptr_t function, uintptr_t data, cnp.ndarray rows not None,
                 cnp.ndarray taken not None, double seconds, double target, double time_limit):
    """Make up to len(rows) steps of the search with these attributes, with a native fitness, and write their rows.

    `taken` (2,) int64 receives how many steps were made, and how many up to the last new best. No step is made if C does
    not support the search, and fewer are made if Python has to handle something. An exception of a signal handler is
    raised when the search is in a valid state, in which its last population waits for rewards.
    """
    cdef _NativeRun run = _NativeRun()
    cdef int64_t* counts = <int64_t*>_data(taken, "taken", cnp.NPY_INT64, 2, True)
    cdef Py_ssize_t steps = cnp.PyArray_SIZE(rows) // ROW_COLUMNS
    cdef pepg_run_log log
    cdef int status
    log.rows = <double*>_data(rows, "rows", cnp.NPY_DOUBLE, steps * ROW_COLUMNS, True)
    log.begun, log.target, log.time_limit = c_pepg_seconds() - seconds, target, time_limit
    log.made = log.improved = 0
    cdef GenerationCore g = _taken(es)
    if g is None:
        return
    try:
        if not run.begin(es, g):
            return
        g.is_running = True
        with nogil:
            status = c_pepg_search_run_logged(&run.search, <pepg_fitness*>function, <void*>data, steps, &log,
                                            _interrupted_run, <void*>run)
        if status in (PEPG_ENAN, PEPG_EINTERRUPTED):  # the unfinished population waits for its rewards
            run.search.generation += 1
            run.search.is_pending = True
        if not run.is_overtaken:
            run.commit()
        counts[0], counts[1] = log.made, log.improved
    finally:
        g.is_running = False
        g.turn.give()
    if run.raised is not None:
        raise run.raised
    if status != PEPG_ENAN:  # the update in Python raises that error
        _raise(status)


cdef int _interrupted_run(void* context) noexcept with gil:
    cdef _NativeRun run = <_NativeRun>context
    try:
        run.commit()  # a handler may read the search
        run.make_room_for_best()
        run.let_handlers_in()
    except BaseException as raised:
        run.raised = raised
        return 1
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class _NativeRun:
    """A Python search while C runs it on the same arrays."""

    cdef pepg_search search
    cdef GenerationCore g
    cdef dict es, optimizer, changes  # `changes` has the new values of the optimizer's attributes
    cdef cnp.ndarray best, gradient, memory
    cdef tuple found  # arrays that receive the best candidate and its distribution, for the user
    cdef tuple held  # objects to which C points, kept alive even if a signal handler replaces them
    cdef bint is_kept  # whether the search keeps its gradient
    cdef object raised
    cdef bint is_overtaken  # whether a handler changed attributes that C would change next

    cdef int let_handlers_in(self) except -1:
        """Let signal handlers read the search; RuntimeError if one of them replaced an attribute that C relies on."""
        cdef tuple before = self._counted_on(), after
        try:
            PyErr_CheckSignals()
        finally:  # it may raise something, too
            after = self._counted_on()
            self.is_overtaken = any([a is not b for a, b in zip(before, after)]) or len(before) != len(after)
        if self.is_overtaken:
            raise RuntimeError("run: a signal handler changed the search in the middle of a native run, which ends here")
        return 0

    cdef tuple _counted_on(self):
        cdef dict es = self.es
        return (_item(es, "optimizer"), _item(es, "step"), _item(es, "evaluations"), _item(es, "best_fitness"),
                *_replaced(es), *self.optimizer.values())

    cdef bint begin(self, dict es, GenerationCore g) except -1:
        """Prepare the run, without changing the search; return whether C can run it on its own."""
        cdef pepg_search* search = &self.search
        cdef object best = _item(es, "best_fitness"), mu = _item(es, "_mu")
        if not (g.dtype.itemsize == 8 and g.has_key and g.rng is None and not g.is_pending and g.noise is not None
                and _are_small(es) and isinstance(best, (int, float, np.number)) and best == best):
            return False
        cdef tuple held = _fill_search(es, g, search)
        if held is None:
            return False
        self.es, self.g, self.optimizer, self.changes, gradient = es, g, held[0], held[1], held[2]
        cdef SigmaCore sigma = _item(es, "_sigma")
        self.held = held, sigma.values, sigma.limits, g.drawn, g.noise, g.scratch
        search.minimize = not (<FitnessCore>_item(es, "_fitness")).maximize
        search.step, search.evaluations, search.interactions = es["step"], es["evaluations"], es["interactions"]
        search.best_fitness, search.has_best = best, False
        self.is_kept = gradient is not None
        self.gradient = gradient if self.is_kept else np.empty_like(mu)
        search.gradient = cnp.PyArray_DATA(self.gradient)
        self._make_room()
        return True

    cdef int _make_room(self) except -1:
        """Allocate memory for the best candidate, and scratch for all threads."""
        cdef pepg_search* search = &self.search
        cdef Py_ssize_t n = search.population_size, d = search.dim, n_draws = self.g.n_draws
        search.n_workers = min(pepg_available_threads(search.n_threads), n_draws)
        cdef size_t work = max(pepg_centered_ranks_work_size(n), pepg_velocity_work_size(d) * sizeof(double),
                               search.n_workers * pepg_run_stride(d, n_draws, sizeof(double)), c_pepg_row_work_size(n, d))
        self.best, self.memory = np.empty((3, d)), np.empty(2 * n * sizeof(double) + work + 2 * ALIGNMENT, np.uint8)
        search.best_theta = cnp.PyArray_DATA(self.best)
        search.best_mu, search.best_sigma = <double*>search.best_theta + d, <double*>search.best_theta + 2 * d
        search.rewards = <double*>first_aligned(cnp.PyArray_DATA(self.memory))
        search.evaluated = search.rewards + n
        search.work = first_aligned(search.evaluated + n)
        self.make_room_for_best()
        return 0

    cdef int make_room_for_best(self) except -1:
        if self.found is None:
            self.found = tuple(np.empty((3, self.search.dim)))
        return 0

    cdef int commit(self) except -1:
        """Copy the results of C to the Python search. Everything that can fail comes first; memory is allocated already."""
        cdef pepg_search* search = &self.search
        cdef dict es = self.es
        cdef GenerationCore g = self.g
        cdef object step = search.step, evaluations = search.evaluations, value = np.float64(search.best_fitness)
        cdef object t = search.step_rule.t
        cdef tuple before = _replaced(es), found = self.found
        cdef bint has_moved = step != es["step"]
        if has_moved or search.is_pending:
            g.array.hold(None)
            g.number, g.epsilon, g.first, g.is_drawn, g.is_pending = search.generation, None, 0, True, search.is_pending
        if has_moved:
            es["step"], es["evaluations"] = step, evaluations
            PyDict_Update(self.optimizer, self.changes)
            if self.is_kept:
                es["gradient"] = self.gradient
            if search.step_rule.kind == PEPG_ADAM:
                self.optimizer["t"] = t
            if search.has_best:
                memcpy(cnp.PyArray_DATA(<cnp.ndarray>found[0]), search.best_theta, 3 * search.dim * sizeof(double))
                self.found, search.has_best = None, False  # until there is a better candidate
                es["best_theta"], es["best_mu"], es["best_sigma"] = found
                es["best_fitness"] = value
        return 0


# Whether all counts are small enough for C to continue counting.
cdef inline bint _are_small(dict es):
    for name in ("step", "evaluations", "interactions"):
        count = _item(es, name)
        if type(count) is not int or not 0 <= count < 2 ** 62:
            return False
    return True
