# The usual generation of a search, whole: what `PEPG.get_parameters()` and `PEPG.update(rewards)` do for a search that
# draws from the native stream, in pairs, without bounds, and moves by centered ranks and Adam. Anything else, and
# whatever has to be refused, is left to the general way in Python, which has the messages.
#
# Everything is looked at before anything is written, and no Python code runs between the first write and the last:
# an interrupt finds a search that was updated or one that was not.


# The item of a dict, borrowed as a local reference; None where there is none.
cdef inline object _item(dict state, str name):
    cdef PyObject* found = PyDict_GetItem(state, name)
    return None if found == NULL else <object>found


cdef inline bint _is_finite_float(value):
    return type(value) is float and PyFloat_AS_DOUBLE(value) - PyFloat_AS_DOUBLE(value) == 0.0


cdef inline bint _is_count(value):
    return type(value) is int and value >= 0


def ask_as_usual(dict es not None):
    """A population of the search whose attributes these are; None if it is not as usual."""
    cdef dict population = (<object>_item(es, "_population")).__dict__
    cdef Turn turn = _item(population, "turn")
    if turn is None or not turn.try_take():
        return None
    try:
        return _drawn(es, population)
    finally:
        turn.give()


cdef object _drawn(dict es, dict population):
    cdef object mu = _item(es, "_mu"), sigma = _item(es, "_sigma"), dtype = _item(population, "dtype")
    cdef cnp.ndarray noise = _item(population, "noise"), theta
    cdef RecycledArray array = _item(population, "array")
    cdef Py_ssize_t d = _item(population, "theta_size"), n = _item(population, "n_draws")
    cdef int n_threads = _item(es, "_n_threads")
    cdef uint64_t generation
    cdef int width
    cdef void* kept
    cdef void* z
    if not (noise is not None and array is not None and _item(population, "has_key") is True and _item(population, "told") == 0
            and _item(population, "symmetric") is True and _item(population, "rng") is None
            and _item(population, "bounds") is None and is_distribution(mu, sigma, d, dtype, False, n_threads)):
        return None
    generation = <uint64_t>_item(population, "generation") + 1
    theta = array.empty(2 * n, d, dtype)
    number, width = generation, cnp.PyArray_TYPE(theta)
    kept = _data(_item(population, "drawn"), "drawn", width, 2 * d, True)
    z = _data(noise, "noise", cnp.NPY_FLOAT, n * d, True)
    _sample(width, n, d, _item(population, "key"), generation, 0, cnp.PyArray_DATA(<cnp.ndarray>mu),
            cnp.PyArray_DATA(<cnp.ndarray>sigma), <char*>kept, <float*>z, <char*>cnp.PyArray_DATA(theta), True, n_threads)
    population["generation"], population["epsilon"], population["first"] = number, None, 0
    population["is_drawn"] = population["is_pending"] = True
    return theta


def tell_as_usual(dict es not None, rewards, adam):
    """Update the search whose attributes these are; False if it, its rewards or its optimizer are not as usual.

    `adam` is the class of the optimizer that this is about.
    """
    cdef dict population = (<object>_item(es, "_population")).__dict__
    cdef Turn turn = _item(population, "turn")
    optimizer = _item(es, "optimizer")
    if turn is None or type(optimizer) is not adam or not turn.try_take():
        return False
    try:
        return _updated(es, population, (<object>_item(es, "_fitness")).__dict__, optimizer.__dict__, rewards)
    finally:
        turn.give()


cdef bint _updated(dict es, dict population, dict fitness, dict adam, rewards) except -1:
    cdef object mu = _item(es, "_mu"), sigma = _item(es, "_sigma"), m = _item(adam, "m"), v = _item(adam, "v")
    cdef object gradient = _item(es, "gradient") if _item(es, "keep_gradient") is True else None
    cdef object t = _item(adam, "t"), step = _item(es, "step"), evaluations = _item(es, "evaluations")
    cdef Py_ssize_t d = _item(es, "theta_size"), best
    cdef int n_threads = _item(es, "_n_threads")
    cdef bint maximize = _item(fitness, "maximize") is True
    cdef cnp.ndarray read = _item(fitness, "rewards"), weights = _item(fitness, "_weights")
    cdef cnp.ndarray drawn = _item(population, "drawn")
    cdef tuple rule = _item(es, "_sigma_rule")
    if not (read is not None and weights is not None and drawn is not None and rule is not None and len(rule) == 4
            and cnp.PyArray_SIZE(drawn) == 2 * d and _item(population, "is_pending") is True and _item(population, "told") == 0
            and _item(population, "epsilon") is None and _item(es, "_num_interactions") is None
            and _item(fitness, "symmetric") is True and _item(fitness, "shaping") == "centered"
            and _item(fitness, "ties") == "average" and _item(es, "_sigma_decay") == 1.0
            and _is_finite_float(_item(es, "mu_lr")) and type(t) is int and 0 <= t < 2 ** 63 and _is_count(step)
            and _is_count(evaluations) and _is_count(_item(es, "interactions")) and _are_rates(es, adam)
            and is_distribution(mu, sigma, d, _item(es, "dtype"), True, n_threads)
            and are_moments(m, v, mu, n_threads)
            and (_item(es, "keep_gradient") is False or _is_plain(gradient, mu))):
        return False
    try:
        best = _read_rewards(rewards, read, maximize)
    except OverflowError:  # an int beyond float64
        return False
    if best < 0:
        return False
    value = rewards[best]
    found, best_fitness = None, _item(es, "best_fitness")
    if not isinstance(best_fitness, (int, float, np.number)) or best_fitness != best_fitness:
        return False
    if _is_better(value, best_fitness, maximize):
        distribution = drawn.copy()
        found = (_item(es, "_population").member(best, n_threads), distribution[0], distribution[1], value)
    t, step, evaluations = t + 1, step + 1, evaluations + _item(population, "size")
    _step(population, es, adam, rule, read, weights, drawn, t, m, v, mu, sigma, gradient, n_threads)
    adam["t"], es["step"], es["evaluations"] = t, step, evaluations
    population["is_pending"] = False
    if found is not None:
        es["best_theta"], es["best_mu"], es["best_sigma"], es["best_fitness"] = found
    return True


# Weights, gradients and the step.
cdef int _step(dict population, dict es, dict adam, tuple rule, cnp.ndarray read, cnp.ndarray weights,
               cnp.ndarray drawn, uint64_t t, cnp.ndarray m, cnp.ndarray v, cnp.ndarray mu, cnp.ndarray sigma, gradient,
               int n_threads) except -1:
    cdef Draw x
    cdef int status
    cdef double change, least, most
    cdef double alpha = _item(adam, "alpha"), beta_1 = _item(adam, "beta_1"), beta_2 = _item(adam, "beta_2")
    cdef double epsilon = _item(adam, "epsilon"), l2 = _item(es, "l2_coeff"), sigma_lr = _item(es, "sigma_lr")
    cdef void* pm = cnp.PyArray_DATA(m)
    cdef void* pv = cnp.PyArray_DATA(v)
    cdef void* pmu = cnp.PyArray_DATA(mu)
    cdef void* psigma = cnp.PyArray_DATA(sigma)
    cdef void* gm = NULL if gradient is None else cnp.PyArray_DATA(gradient)
    change, least, most = rule[0], rule[1], rule[2]
    _read_draw(&x, _item(population, "key"), _item(population, "generation"), _item(population, "noise"), None, weights,
               drawn)
    cdef void* limits = _optional(rule[3], "sigma_limits", x.width, 3 * x.dim, False)
    cdef double* r = <double*>_data(read, "rewards", cnp.NPY_DOUBLE, 2 * x.n_pairs, True)
    with nogil:
        status = _centered_ranks(2 * x.n_pairs, r, r)
        if status == PEPG_OK:
            status = pepg_antithetic(x.n_pairs, r, x.delta, x.even)
        if status == PEPG_OK:
            status = _update_adam(&x, alpha, beta_1, beta_2, epsilon, t, l2, sigma_lr, change, least, most, limits, pm,
                                  pv, pmu, psigma, gm, n_threads)
    _raise(status)
    return 0


# Whether all rates are finite floats, and Adam's two in their range.
cdef inline bint _are_rates(dict es, dict adam):
    beta_1, beta_2 = _item(adam, "beta_1"), _item(adam, "beta_2")
    return (_is_finite_float(_item(es, "sigma_lr")) and _is_finite_float(_item(es, "l2_coeff"))
            and _is_finite_float(_item(adam, "alpha")) and _is_finite_float(_item(adam, "epsilon"))
            and _is_finite_float(beta_1) and 0.0 <= PyFloat_AS_DOUBLE(beta_1) < 1.0
            and _is_finite_float(beta_2) and 0.0 <= PyFloat_AS_DOUBLE(beta_2) < 1.0 and "eps_hat" not in adam)


# As float64, since NumPy compares a float with a float32 in float32.
cdef inline bint _is_better(value, other, bint maximize) except -1:
    cdef double x = value, y = other
    return x > y if maximize else x < y
