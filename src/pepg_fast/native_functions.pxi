# Native functions by their addresses: contents of capsules, and environments.


def capsule_pointer(capsule):
    """Return the address and name (or None) of a PyCapsule; None for any other object."""
    if not PyCapsule_CheckExact(capsule):
        return None
    cdef const char* name = PyCapsule_GetName(capsule)
    return <uintptr_t>PyCapsule_GetPointer(capsule, name), None if name == NULL else (<bytes>name).decode("ascii", "replace")


# Run signal handlers in the calling thread. An exception is put into the list `context`, and stops the simulation.
cdef int _interrupted(void* context) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as raised:
        (<list>context).append(raised)
        return 1
    return 0


@cython.final
cdef class Environment:
    """A native environment: addresses of its functions and of their `data`, which the caller keeps alive.

    `clip` (2, outputs) and `scale` (4, outputs) turn outputs into actions, and are kept; see pepg_fast/simulation.h.
    """

    cdef pepg_environment c
    cdef cnp.ndarray clip, scale

    def __cinit__(self, uintptr_t reset, uintptr_t step, uintptr_t data, Py_ssize_t state_size, Py_ssize_t max_steps, *,
                  uintptr_t end=0, uintptr_t make_context=0, uintptr_t free_context=0, Py_ssize_t n_choices=0,
                  cnp.ndarray clip=None, cnp.ndarray scale=None):
        if state_size < 1 or max_steps < 1:
            _fail("state_size, max_steps", "positive numbers", (state_size, max_steps))
        self.c.size = sizeof(pepg_environment)
        self.c.reset, self.c.step, self.c.data = <pepg_reset>reset, <pepg_step>step, <void*>data
        self.c.state_size, self.c.max_steps, self.c.n_choices = state_size, max_steps, n_choices
        self.c.end, self.c.make_context = <pepg_end>end, <pepg_make_context>make_context
        self.c.free_context = <pepg_free_context>free_context
        self.clip, self.scale = clip, scale

    def simulate(self, Perceptron network not None, cnp.ndarray solutions not None, uint64_t seed,
                 cnp.ndarray returns not None, cnp.ndarray steps not None, int n_threads=0, *, cnp.ndarray seeds=None,
                 double largest=0.0, cnp.ndarray mean=None, cnp.ndarray inverse_std=None, double clip=INFINITY,
                 double reward_floor=-INFINITY, cnp.ndarray lifted=None, cnp.ndarray moments=None,
                 cnp.ndarray faults=None):
        """Write the returns (n, episodes) float64 and steps (n, episodes) int64 of `solutions` (n, parameters).

        The keywords are the fields of pepg_episode_options: `seeds` is uint64, `faults` int32, other arrays float64.
        """
        cdef int width = _width(solutions, "solutions")
        cdef Py_ssize_t n = _rows(solutions, "solutions"), episodes, size
        if _rows(returns, "returns") != n or cnp.PyArray_SIZE(returns) == 0:
            _fail("returns", f"a row of episodes for each of {n} solutions", f"shape {(<object>returns).shape}")
        episodes, size = cnp.PyArray_DIM(returns, 1), cnp.PyArray_SIZE(returns)
        cdef void* weights = _data(solutions, "solutions", width, n * network.n_parameters, False)
        cdef double* to_returns = <double*>_data(returns, "returns", cnp.NPY_DOUBLE, size, True)
        cdef int64_t* to_steps = <int64_t*>_data(steps, "steps", cnp.NPY_INT64, size, True)
        cdef pepg_episode_options options
        memset(&options, 0, sizeof(options))
        options.size = sizeof(options)
        options.seeds = <uint64_t*>_optional(seeds, "seeds", cnp.NPY_UINT64, size, False)
        options.mean = <double*>_optional(mean, "mean", cnp.NPY_DOUBLE, network.n_inputs, False)
        options.inverse_std = <double*>_optional(inverse_std, "inverse_std", cnp.NPY_DOUBLE, network.n_inputs, False)
        options.largest, options.clip, options.reward_floor = largest, clip, reward_floor
        options.lifted = <double*>_optional(lifted, "lifted", cnp.NPY_DOUBLE, size, True)
        options.moments = <double*>_optional(moments, "moments", cnp.NPY_DOUBLE, 2 * network.n_inputs * size, True)
        options.faults = <int*>_optional(faults, "faults", cnp.NPY_INT, size, True)
        cdef list raised = []
        cdef pepg_environment environment = self._fitted(network)
        cdef void* work = self._work(network, width, &options, n_threads)
        cdef int status
        with nogil:
            status = any_simulate(width, &environment, &network.c, n, weights, network.n_parameters, episodes, seed,
                                  &options, to_returns, to_steps, work, _interrupted, <void*>raised, n_threads)
            free(work)
        if raised:
            raise raised[0]
        _raise(status)

    def rollout(self, Perceptron network not None, cnp.ndarray solution not None, uint64_t seed,
                cnp.ndarray observations not None, cnp.ndarray actions not None, cnp.ndarray rewards not None):
        """Write one episode into `observations` (steps + 1, in), `actions` (steps, numbers) and `rewards` (steps,).

        All are float64, except the solution. The episode ends when the arrays are full, at the latest.
        """
        cdef int width = _width(solution, "solution"), status
        cdef Py_ssize_t n = _count(rewards, "rewards"), numbers = 1 if self.c.n_choices else network.n_outputs
        cdef void* weights = _data(solution, "solution", width, network.n_parameters, False)
        cdef double* o = <double*>_data(observations, "observations", cnp.NPY_DOUBLE, (n + 1) * network.n_inputs, True)
        cdef double* a = <double*>_data(actions, "actions", cnp.NPY_DOUBLE, n * numbers, True)
        cdef double* r = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n, True)
        cdef int64_t n_rows = 0
        cdef list raised = []
        cdef pepg_environment within = self._fitted(network)
        within.max_steps = n
        cdef void* work = self._work(network, width, NULL, 1)
        with nogil:
            status = any_rollout(width, &within, &network.c, weights, seed, o, a, r, &n_rows, work, _interrupted,
                                 <void*>raised)
            free(work)
        if raised:
            raise raised[0]
        _raise(status)
        return n_rows

    # The environment, with the conversion of this network's outputs into actions.
    cdef pepg_environment _fitted(self, Perceptron network) except *:
        cdef pepg_environment fitted = self.c
        fitted.clip = <double*>_optional(self.clip, "clip", cnp.NPY_DOUBLE, 2 * network.n_outputs, False)
        fitted.scale = <double*>_optional(self.scale, "scale", cnp.NPY_DOUBLE, 4 * network.n_outputs, False)
        return fitted

    cdef void* _work(self, Perceptron network, int width, const pepg_episode_options* options, int n_threads) except NULL:
        cdef size_t needed = any_simulate_work_size(width, &self.c, &network.c, options, n_threads)
        if needed == 0:
            raise MemoryError(f"state_size: no memory for episodes of {self.c.state_size} numbers")
        return _scratch(needed, "state_size")
