# The search in C on the arrays and numbers of a `PEPG`: the data that its parts keep, and the calls that change them.
#
# Everything that can fail comes before the first write of a call, and no Python code runs between the first and the last
# write: an interrupt leaves a search as it was before such a call, or as it is after it.

# ---- data that the parts of a search keep for C ----------------------------------------------------------------


@cython.auto_pickle(False)
cdef class GenerationCore:
    """Numbers, noise and memory of a generation; its subclass in `pepg_fast.search.generation` uses them in Python.

    A draw is a row of noise: a mirrored pair, or one candidate if there are no pairs.
    """

    cdef public Turn turn  # for threads that share the search
    cdef readonly object dtype
    cdef readonly Py_ssize_t theta_size, size, n_draws
    cdef readonly bint symmetric
    cdef public bint is_low_rank  # whether noise has low rank, which the search in C does not support
    cdef readonly cnp.ndarray lower, upper  # None without bounds
    cdef public object rng  # a NumPy generator; None for the native stream
    cdef public uint64_t key
    cdef public bint has_key
    cdef public uint64_t number  # populations drawn from the native stream
    cdef public Py_ssize_t first  # the first draw of the last population
    cdef public bint is_drawn, is_pending  # whether there is a population, and whether it waits for its rewards
    cdef public object scored  # populations of this generation that have their rewards; None if there are none
    cdef public cnp.ndarray drawn  # the mu and sigma with which the population was drawn, (2, theta_size)
    cdef public cnp.ndarray noise  # its normals, float32, if they are stored
    cdef public cnp.ndarray epsilon  # its noise, if that is not from the native stream
    cdef readonly RecycledArray array, part_array  # its candidates, and a part of them
    cdef readonly cnp.ndarray rewards, weights  # memory for rewards and weights
    cdef cnp.ndarray scratch
    cdef bint is_running  # whether C runs the search and may change it

    def refuse_in_run(self):
        """Raise a RuntimeError while C runs the search: a signal handler may read it, but not change it."""
        if self.is_running:
            raise RuntimeError("the search is in the middle of a native run: a signal handler cannot change it")

    def describe(self, Py_ssize_t theta_size, dtype, bint symmetric, cnp.ndarray lower, cnp.ndarray upper):
        """Set the attributes that do not change."""
        self.theta_size, self.dtype, self.symmetric = theta_size, dtype, symmetric
        self.lower, self.upper = lower, upper

    def resize(self, Py_ssize_t size):
        """Make room for `size` candidates; the noise and rewards of the generation are dropped."""
        self.refuse_in_run()
        cdef Py_ssize_t n = size // 2 if self.symmetric else size
        drawn, rewards, weights = np.empty((2, self.theta_size), self.dtype), np.empty(size), np.empty((2, n))
        array, part_array = RecycledArray(), RecycledArray()
        self.size, self.n_draws, self.drawn, self.rewards, self.weights = size, n, drawn, rewards, weights
        self.array, self.part_array = array, part_array
        self.scratch = self.noise = self.epsilon = self.scored = None
        self.is_drawn = self.is_pending = False
        self.first = 0

    def draw(self, cnp.ndarray mu, cnp.ndarray sigma, cnp.ndarray epsilon, cnp.ndarray out, int n_threads):
        """Draw a population from a checked distribution, with native noise or with `epsilon`.

        It is written to `out`, or to memory to which nothing refers any more. A generation has one distribution: later
        populations use that of the first.
        """
        cdef Py_ssize_t first = self._first(), n = self.n_draws, d = self.theta_size
        cdef int width = _width(self.drawn, "drawn")
        cdef Py_ssize_t row = d * cnp.PyArray_ITEMSIZE(self.drawn)
        cdef cnp.ndarray theta = None if out is None else np.asarray(out), noise = None
        _data(self.drawn, "drawn", width, 2 * d, True)
        if epsilon is None:
            noise = np.empty((n, d), np.float32) if self.noise is None else self.noise
        if theta is None:
            theta = self.array.again(self.size, d, width)
        cdef char* t = <char*>_data(theta, "theta", width, self.size * d, True)
        cdef char* minus = t + n * row if self.symmetric else NULL
        cdef void* e = _optional(epsilon, "epsilon", width, n * d, False)
        cdef float* z = <float*>_optional(noise, "noise", cnp.NPY_FLOAT, n * d, True)
        cdef void* low = _optional(self.lower, "lower", width, d, False)
        cdef void* high = NULL if low == NULL else _data(self.upper, "upper", width, d, False)
        _check_draw(n, d, first)
        cdef char* drawn = _distribution(mu, sigma, self.drawn, first == 0)
        if e == NULL:
            run_sample(width, n, d, self.key, self.number + (first == 0), first, drawn, drawn + row, z, t, minus, n_threads)
        else:
            run_mirror(width, n, d, drawn, e, t, minus, n_threads)
        if low != NULL:
            run_clip(width, self.size, d, low, high, t, n_threads)
        self._become(epsilon, first, noise)
        if out is not None:
            self.array.hold(theta)
        return theta if out is None else out

    def begin(self, cnp.ndarray mu, cnp.ndarray sigma, cnp.ndarray epsilon):
        """Begin a population as `draw` does, but without generating candidates."""
        cdef Py_ssize_t first = self._first()
        _distribution(mu, sigma, self.drawn, first == 0)
        self._become(epsilon, first, None)
        self.array.hold(None)

    def take(self, cnp.ndarray mu, cnp.ndarray sigma, cnp.ndarray epsilon not None, cnp.ndarray theta):
        """Replace the noise; `theta` has the new candidates, or is None to keep those that wait for rewards."""
        cdef Py_ssize_t first = self._first()
        cdef bint is_new = not self.is_pending
        cdef cnp.ndarray candidates = None if theta is None else np.asarray(theta)
        _distribution(mu, sigma, self.drawn, first == 0)
        self.number += is_new and first == 0  # later populations of this generation have other native noise
        self.epsilon, self.first = epsilon, first
        self.is_drawn = self.is_pending = True
        if candidates is not None:
            self.array.hold(candidates)

    cdef Py_ssize_t _first(self) except -1:
        """Return the number of the first draw of the next population."""
        self.refuse_in_run()
        if self.array is None:
            _fail("resize", "a call of it before this one", "none")
        return 0 if self.scored is None else self.scored.n_draws

    cdef void _become(self, cnp.ndarray epsilon, Py_ssize_t first, cnp.ndarray noise) noexcept:
        """Record that a population was drawn."""
        self.number += self.rng is None and first == 0
        self.epsilon, self.first, self.noise = epsilon, first, noise
        self.is_drawn = self.is_pending = True


@cython.auto_pickle(False)
cdef class SigmaCore:
    """Sigma, and the limits of its steps as the kernels take them; `pepg_fast.search.sigma` has the user's limits."""

    cdef readonly cnp.ndarray values
    cdef readonly cnp.ndarray limits  # rows max_change, minimum, maximum, if one of them is an array
    cdef double max_change, minimum, maximum  # used otherwise
    cdef double decay, decay_limit

    def keep(self, cnp.ndarray values, tuple numbers, cnp.ndarray limits, double decay, double decay_limit):
        """Set all attributes."""
        self.max_change, self.minimum, self.maximum = numbers
        self.values, self.limits, self.decay, self.decay_limit = values, limits, decay, decay_limit

    def moved(self, cnp.ndarray change not None, int n_threads):
        """Return sigma after a step as a new array."""
        sigma = self.values.copy()
        sigma_step(change, 1.0, self.max_change, self.minimum, self.maximum, self.limits, sigma, n_threads)
        _decay(self, <cnp.ndarray>sigma)
        return sigma

    cdef int _fill(self, pepg_sigma_rule* rule, double rate, int width, Py_ssize_t d) except -1:
        rule.learning_rate, rule.max_change, rule.minimum, rule.maximum = rate, self.max_change, self.minimum, self.maximum
        rule.limits, rule.stride = _optional(self.limits, "sigma_limits", width, 3 * d, False), d
        return 0


# Let a checked sigma decay where it is above the limit.
cdef void _decay(SigmaCore sigma, cnp.ndarray values) noexcept:
    if sigma.decay == 1.0:
        return
    if cnp.PyArray_TYPE(values) == cnp.NPY_DOUBLE:
        _decay_of[double](sigma, <double*>cnp.PyArray_DATA(values), cnp.PyArray_SIZE(values))
    else:
        _decay_of[float](sigma, <float*>cnp.PyArray_DATA(values), cnp.PyArray_SIZE(values))


cdef void _decay_of(SigmaCore sigma, cython.floating* x, Py_ssize_t n) noexcept:
    cdef cython.floating* limits = NULL if sigma.limits is None else <cython.floating*>cnp.PyArray_DATA(sigma.limits)
    cdef cython.floating least = <cython.floating>sigma.minimum, most = <cython.floating>sigma.maximum
    cdef cython.floating decay = <cython.floating>sigma.decay, limit = <cython.floating>sigma.decay_limit
    cdef Py_ssize_t j
    for j in range(n):
        if limits != NULL:
            least, most = limits[n + j], limits[2 * n + j]
        if x[j] > limit:
            x[j] = x[j] * decay
        x[j] = least if x[j] < least else (most if x[j] > most else x[j])


@cython.auto_pickle(False)
cdef class FitnessCore:
    """The part of reward shaping that C uses."""

    cdef public bint maximize
    cdef public bint is_usual  # centered ranks, which equal rewards share


# ---- usual searches: one call of the C search ------------------------------------------------------------------

cdef object _Adam = None, _SGD = None, _ClipUp = None


#: Numbers of the step rules, by name.
RULES = {"sgd": PEPG_SGD, "nesterov": PEPG_NESTEROV, "clipup": PEPG_CLIPUP, "adam": PEPG_ADAM}


def name_optimizers(adam, sgd, clipup):
    """Set the classes that correspond to the rules in C; classes derived from them do not."""
    global _Adam, _SGD, _ClipUp
    _Adam, _SGD, _ClipUp = adam, sgd, clipup


# An item of a dict, or None.
cdef inline object _item(dict state, str name):
    cdef PyObject* found = PyDict_GetItemWithError(state, name)
    return None if found == NULL else <object>found


# Read a finite number of type float, not of a subclass.
cdef inline bint _read(dict state, str name, double* x):
    cdef PyObject* found = PyDict_GetItemWithError(state, name)
    if found == NULL or not PyFloat_CheckExact(<object>found):
        return False
    x[0] = PyFloat_AS_DOUBLE(<object>found)
    return x[0] - x[0] == 0.0


cdef inline bint _is_count(value):
    return type(value) is int and value >= 0


cdef GenerationCore _taken(dict es):
    """Take the turn of a search and return its generation; None if another thread, or the caller, has the turn."""
    generation = _item(es, "_generation")
    if not isinstance(generation, GenerationCore) or (<GenerationCore>generation).turn is None:
        return None
    return <GenerationCore>generation if (<GenerationCore>generation).turn.try_take() else None


def ask(dict es not None):
    """Return a population of the search with these attributes; None if the search is not a usual one."""
    cdef GenerationCore g = _taken(es)
    if g is None:
        return None
    try:
        return _asked(es, g)
    finally:
        g.turn.give()


cdef object _asked(dict es, GenerationCore g):
    cdef pepg_search s
    cdef cnp.ndarray theta
    if not (g.has_key and g.scored is None and g.rng is None and _fill_draw(es, g, &s) and g.noise is not None):
        return None
    s.noise = <float*>_data(g.noise, "noise", cnp.NPY_FLOAT, g.n_draws * g.theta_size, True)
    theta = g.array.again(g.size, g.theta_size, cnp.PyArray_TYPE(g.drawn))
    run_search_ask(cnp.PyArray_TYPE(theta), &s, cnp.PyArray_DATA(theta))
    g._become(None, 0, g.noise)
    return theta


# Point a C search at the distribution; False if nothing can be drawn from it.
cdef bint _fill_draw(dict es, GenerationCore g, pepg_search* s) except -1:
    cdef cnp.ndarray drawn = g.drawn
    cdef Py_ssize_t d = g.theta_size
    mu, sigma, n_threads = _item(es, "_mu"), _item(es, "_sigma"), _item(es, "n_threads")
    if g.is_low_rank or not (
            isinstance(sigma, SigmaCore) and type(n_threads) is int and drawn is not None and g.array is not None
            and is_distribution(mu, (<SigmaCore>sigma).values, d, g.dtype, False, n_threads)):
        return False
    cdef int width = cnp.PyArray_TYPE(<cnp.ndarray>mu)
    memset(s, 0, sizeof(s[0]))
    s.width = cnp.PyArray_ITEMSIZE(<cnp.ndarray>mu)
    s.unpaired, s.n_threads, s.n_workers = not g.symmetric, n_threads, 1
    s.population_size, s.dim, s.key, s.generation = g.size, d, g.key, g.number
    s.mu, s.sigma = cnp.PyArray_DATA(<cnp.ndarray>mu), cnp.PyArray_DATA((<SigmaCore>sigma).values)
    s.drawn_mu = _data(drawn, "drawn", width, 2 * d, True)
    s.drawn_sigma = <char*>s.drawn_mu + d * s.width
    s.lower = _optional(g.lower, "lower", width, d, False)
    s.upper = NULL if s.lower == NULL else _data(g.upper, "upper", width, d, False)
    s.is_pending = g.is_pending
    return True


cdef tuple _fill_search(dict es, GenerationCore g, pepg_search* s):
    """Point a C search at the attributes of a Python search.

    Returns the optimizer's attributes and their new values (dicts), the array that receives the gradient (or None), and
    all other objects to which C points. The caller keeps them alive while C runs, because another thread may replace
    the attributes. Returns None if C does not support the search, or would have to refuse it: the update in Python
    raises the error. The caller sets the best candidate, its memory, and the memory for rewards.
    """
    cdef object optimizer = _item(es, "optimizer"), shaping = _item(es, "_fitness")
    cdef dict attributes
    cdef tuple moments
    cdef SigmaCore sigma
    cdef int width
    cdef double sigma_rate, ignored
    if not (_fill_draw(es, g, s) and g.scored is None and g.epsilon is None and _item(es, "num_interactions") is None
            and isinstance(shaping, FitnessCore) and (<FitnessCore>shaping).is_usual and _read(es, "mu_lr", &ignored)
            and _read(es, "sigma_lr", &sigma_rate) and _read(es, "l2_coeff", &s.l2)):
        return None
    sigma, mu = <SigmaCore>_item(es, "_sigma"), _item(es, "_mu")
    width = cnp.PyArray_TYPE(<cnp.ndarray>mu)
    if sigma.decay != 1.0 or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>mu) or not cnp.PyArray_ISWRITEABLE(sigma.values):
        return None
    if not (type(optimizer) is _Adam or type(optimizer) is _SGD or type(optimizer) is _ClipUp):
        return None
    attributes = optimizer.__dict__
    if type(optimizer) is _Adam:
        moments = _fill_adam(attributes, <cnp.ndarray>mu, &s.step_rule, s.n_threads)
    else:
        moments = _fill_velocity(attributes, type(optimizer) is _ClipUp, <cnp.ndarray>mu, &s.step_rule, s.n_threads)
    if moments is None:
        return None
    sigma._fill(&s.sigma_rule, sigma_rate, width, g.theta_size)
    if g.noise is not None:
        s.noise = <float*>_data(g.noise, "noise", cnp.NPY_FLOAT, g.n_draws * g.theta_size, True)
    _fill_scratch(g, s)
    gradient = None
    if _item(es, "keep_gradient") is True:
        gradient = _item(es, "gradient")
        if not _is_plain(gradient, <cnp.ndarray>mu):
            gradient = _zeros_like(<cnp.ndarray>mu)
        s.gradient = cnp.PyArray_DATA(<cnp.ndarray>gradient)
    return attributes, moments[0], gradient, moments, mu, sigma


cdef dict NO_CHANGES = {}


cdef object _zeros_like(cnp.ndarray mu):
    cdef cnp.npy_intp d = cnp.PyArray_SIZE(mu)
    return cnp.PyArray_ZEROS(1, &d, cnp.PyArray_TYPE(mu), False)


cdef tuple _fill_adam(dict adam, cnp.ndarray mu, pepg_step_rule* rule, int n_threads):
    cdef object t = _item(adam, "t"), m = _item(adam, "m"), v = _item(adam, "v")
    cdef object eps_hat = _item(adam, "eps_hat") if "eps_hat" in adam else True  # the class attribute
    cdef dict changes = NO_CHANGES
    if not (_read(adam, "alpha", &rule.alpha) and _read(adam, "beta_1", &rule.beta_1) and _read(adam, "beta_2", &rule.beta_2)
            and _read(adam, "epsilon", &rule.epsilon) and 0.0 <= rule.beta_1 < 1.0 and 0.0 <= rule.beta_2 < 1.0
            and type(t) is int and 0 <= t < 2 ** 63 - 1 and type(eps_hat) is bool):
        return None
    if m is None and v is None and t == 0:
        m, v = _zeros_like(mu), _zeros_like(mu)
        changes = {"m": m, "v": v}
    elif not are_moments(m, v, mu, n_threads):
        return None
    rule.kind, rule.eps_hat, rule.t = PEPG_ADAM, eps_hat is True, t
    rule.m, rule.v = cnp.PyArray_DATA(<cnp.ndarray>m), cnp.PyArray_DATA(<cnp.ndarray>v)
    return changes, m, v


cdef tuple _fill_velocity(dict optimizer, bint is_clipup, cnp.ndarray mu, pepg_step_rule* rule, int n_threads):
    cdef object velocity = _item(optimizer, "velocity"), nesterov = _item(optimizer, "nesterov")
    cdef dict changes = NO_CHANGES
    if not (_read(optimizer, "alpha", &rule.alpha) and _read(optimizer, "momentum", &rule.momentum)
            and 0.0 <= rule.momentum < 1.0):
        return None
    rule.kind = PEPG_CLIPUP
    if is_clipup:
        if rule.alpha < 0.0 or not (_item(optimizer, "_max_speed") is None
                                    or (_read(optimizer, "_max_speed", &rule.max_speed) and rule.max_speed > 0.0)):
            return None
    elif type(nesterov) is bool:
        rule.kind = PEPG_NESTEROV if nesterov else PEPG_SGD
    else:
        return None
    if velocity is None:
        velocity = _zeros_like(mu)
        changes = {"velocity": velocity}
    elif not (_is_plain(velocity, mu) and _all_finite(<cnp.ndarray>velocity, -INFINITY, n_threads) == 1):
        return None
    rule.velocity = cnp.PyArray_DATA(<cnp.ndarray>velocity)
    return changes, velocity


# Memory for weights, shaped rewards and the kernels' scratch. It is kept, because one thread at a time has the turn.
cdef int _fill_scratch(GenerationCore g, pepg_search* s) except -1:
    cdef Py_ssize_t n = g.size + g.size % 2, work = pepg_centered_ranks_work_size(g.size) // sizeof(double) + 1
    if s.step_rule.kind != PEPG_ADAM:
        work = max(work, <Py_ssize_t>pepg_velocity_work_size(g.theta_size))
    if g.scratch is None or cnp.PyArray_SIZE(g.scratch) < 3 * n + work:
        g.scratch = np.empty(3 * n + work)
    s.shaped = <double*>cnp.PyArray_DATA(g.scratch)
    s.weights = s.shaped + n
    s.work = s.weights + 2 * n if s.unpaired else s.weights + n
    return 0


def tell(dict es not None, rewards):
    """Update the search with these attributes; return False, and do nothing, if the search is not a usual one."""
    cdef GenerationCore g = _taken(es)
    if g is None:
        return False
    try:
        return _scored(es, g, rewards)
    finally:
        g.turn.give()


cdef bint _scored(dict es, GenerationCore g, rewards) except -1:
    cdef pepg_search s
    cdef Py_ssize_t best
    cdef bint maximize
    cdef tuple held, found = None, before = None
    cdef object step = _item(es, "step"), evaluations = _item(es, "evaluations"), gradient
    cdef dict optimizer, changes
    if not (g.is_pending and _is_count(step) and _is_count(evaluations) and _is_count(_item(es, "interactions"))
            and g.rewards is not None):
        return False
    held = _fill_search(es, g, &s)
    if held is None:
        return False
    optimizer, changes, gradient = held[0], held[1], held[2]
    maximize = (<FitnessCore>_item(es, "_fitness")).maximize
    try:
        best = _read_rewards(rewards, g.rewards, maximize)  # higher is better from here on
    except OverflowError:  # an int beyond float64
        return False
    if best < 0:
        return False
    value, best_fitness = rewards[best], _item(es, "best_fitness")
    if not isinstance(best_fitness, (int, float, np.number)) or best_fitness != best_fitness:
        return False
    if _is_better(value, best_fitness, maximize):
        found = _found(g, best, value)
        if found is None:
            return False
    step, evaluations, t = step + 1, evaluations + g.size, s.step_rule.t + 1
    s.rewards, s.best_fitness = <double*>cnp.PyArray_DATA(g.rewards), INFINITY  # Python keeps the best candidate
    if found is not None or gradient is not None:
        before = _replaced(es)
    run_search_tell(cnp.PyArray_TYPE(g.drawn), &s, s.rewards)
    es["step"], es["evaluations"], g.is_pending = step, evaluations, False
    if s.step_rule.kind == PEPG_ADAM:
        optimizer["t"] = t
    if changes is not NO_CHANGES:
        PyDict_Update(optimizer, changes)
    if gradient is not None:
        es["gradient"] = gradient
    if found is not None:
        es["best_theta"], es["best_mu"], es["best_sigma"], es["best_fitness"] = found
    return True


# The attributes that may be replaced. The caller keeps them alive, so that no finalizer runs before all are replaced.
cdef tuple _replaced(dict es):
    return _item(es, "gradient"), _item(es, "best_theta"), _item(es, "best_mu"), _item(es, "best_sigma")


# Copies of the best candidate and its distribution, and its reward; None if the candidate is not in memory.
cdef tuple _found(GenerationCore g, Py_ssize_t best, value):
    cdef cnp.ndarray theta = g.array.array
    if theta is None or cnp.PyArray_NDIM(theta) != 2 or best >= cnp.PyArray_DIM(theta, 0):
        return None
    distribution = g.drawn.copy()
    return theta[best].copy(), distribution[0], distribution[1], value


# Compared as float64, because NumPy compares a float with a float32 in float32.
cdef inline bint _is_better(value, other, bint maximize) except -1:
    cdef double x = value, y = other
    return x > y if maximize else x < y


# ---- other searches: an update is planned in Python, and its changes are made in one call ----------------------


# The contents of the dicts before the changes. The caller keeps them alive until all is changed, because releasing a
# value may run a finalizer.
cdef list _before(tuple changes):
    for owner, new in changes:
        if type(owner) is not dict or type(new) is not dict:
            _fail("changes", "pairs of dicts", type(owner).__name__)
    return [(<dict>owner).copy() for owner, _ in changes]


# Nothing can fail here: the names exist already, and the caller keeps the old values alive.
cdef int _change(tuple changes, GenerationCore g, scored) except -1:
    for owner, new in changes:
        PyDict_Update(owner, new)
    if g is not None:
        g.scored, g.is_pending = scored, False
    return 0


def commit(tuple copies not None, tuple changes not None, GenerationCore g=None, scored=None, Py_ssize_t size=0):
    """Copy arrays into others, put new values into dicts, and end the wait of a population, all of it or nothing.

    `copies` are pairs (to, what), and `changes` are pairs (dict, items). If the generation continues, `scored` has its
    populations with rewards. With `size`, the next population has this size.
    """
    cdef cnp.ndarray to, what
    if g is not None:
        g.refuse_in_run()
    for to, what in copies:
        if not (_is_plain(to, what) and _is_plain(what, to)):
            _fail("copies", "arrays of one shape and dtype", "others")
    cdef list before = _before(changes)
    if g is not None and size:
        g.resize(size)
    for to, what in copies:
        memmove(cnp.PyArray_DATA(to), cnp.PyArray_DATA(what), cnp.PyArray_NBYTES(to))
    _change(changes, g, scored)


def update(GenerationCore g not None, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
           dict rule not None, double l2, double sigma_rate, cnp.ndarray mu not None, SigmaCore sigma not None,
           cnp.ndarray gradient, tuple changes not None, int n_threads):
    """Compute gradients, the step of `mu` by a rule and the step of `sigma`, and `commit` changes, in one call.

    `noise` and `epsilon` are as for `gradients`; `rule` has the fields of ``pepg_step_rule`` by name. `gradient`
    receives the gradient of the mean unless it is None.
    """
    cdef Draw x
    cdef pepg_sigma_rule limits
    g.refuse_in_run()
    _read_draw(&x, g.key, g.number, noise, epsilon, weights, g.drawn)
    sigma._fill(&limits, sigma_rate, x.width, x.dim)
    cdef void* low = _optional(g.lower, "lower", x.width, x.dim, False)
    cdef void* high = NULL if low == NULL else _data(g.upper, "upper", x.width, x.dim, False)
    cdef list before = _before(changes)
    _update(&x, rule, l2, &limits, mu, sigma.values, gradient, n_threads)
    if low != NULL:
        run_clip(x.width, 1, x.dim, low, high, cnp.PyArray_DATA(mu), n_threads)
    _decay(sigma, sigma.values)
    _change(changes, g, None)


cdef int _read_rule(dict rule, int width, Py_ssize_t d, pepg_step_rule* step) except -1:
    step.kind, step.eps_hat, step.alpha = rule.get("kind", -1), rule.get("eps_hat", True), rule.get("alpha", 0.0)
    step.beta_1, step.beta_2, step.epsilon = rule.get("beta_1", 0.0), rule.get("beta_2", 0.0), rule.get("epsilon", 0.0)
    step.momentum, step.max_speed, step.t = rule.get("momentum", 0.0), rule.get("max_speed", 0.0), rule.get("t", 0)
    step.m = _optional(rule.get("m"), "m", width, d, True)
    step.v = _optional(rule.get("v"), "v", width, d, True)
    step.velocity = _optional(rule.get("velocity"), "velocity", width, d, True)
    return 0
