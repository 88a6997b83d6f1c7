"""Typed forwarding to the C kernels; `pepg_fast.h` has their formulas.

Arrays must be C-contiguous, aligned and of the call's dtype, and outputs must be writeable; the caller chooses the
shapes. A mismatch raises a ValueError that names the argument. C calls whose work grows with the arrays release the
GIL, unless the arrays are small.
"""

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_CheckExact
from cpython.long cimport PyLong_AsDouble, PyLong_Check
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Update
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport INFINITY, isnan
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

import os

import numpy as np

cnp.import_array()

cdef extern from "Python.h":
    ctypedef struct PyTypeObject
    PyTypeObject* Py_TYPE(PyObject* o)
    Py_ssize_t Py_REFCNT(PyObject* o)
    PyObject* PyList_GET_ITEM(object list, Py_ssize_t i)  # borrowed
    ctypedef void* PyThread_type_lock
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) nogil
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int interrupt) nogil
    void PyThread_release_lock(PyThread_type_lock lock)
    unsigned long PyThread_get_thread_ident()

cdef extern from "dispatch.h" nogil:
    ctypedef struct pepg_kernels:
        const char* name
    const pepg_kernels* pepg_active
    const char* pepg_isa_usable(int i)
    const char* pepg_isa_built(int i)
    int pepg_select_isa(const char* name)

cdef extern from "parallel.h" nogil:
    int pepg_available_threads(int n_threads)
    int pepg_openmp_version()
    int pepg_last_team()
    void pepg_force_teams(int forced)

cdef extern from "stores.h" nogil:
    void pepg_force_stores(int stream)

cdef extern from "checks.h" nogil:
    const char* fault_of_draw(const pepg_draw* draw)
    const char* fault_of_step_rule(const pepg_step_rule* rule)
    const char* fault_of_sigma_rule(const pepg_sigma_rule* rule)

include "forwarding.pxi"  # the functions of the headers as c_..., any_... and run_...; see csrc/forwarding.py

ACTIVATIONS = {"identity": PEPG_IDENTITY, "sigmoid": PEPG_SIGMOID, "tanh": PEPG_TANH, "relu": PEPG_RELU,
               "softmax": PEPG_SOFTMAX}
CELLS = {"elman": PEPG_ELMAN, "gru": PEPG_GRU, "lstm": PEPG_LSTM}

# ---- the process: instruction set, threads -------------------------------------------------------------------


def isas_built():
    """Return the names of the instruction-set units in this build, slowest first."""
    return _names(pepg_isa_built)


def isas_usable():
    """Return the names of the units that this CPU can run, slowest first."""
    return _names(pepg_isa_usable)


cdef list _names(const char* (*name)(int) noexcept nogil):
    cdef const char* found = name(0)
    names = []
    while found != NULL:
        names.append((<bytes>found).decode("ascii"))
        found = name(len(names))
    return names


def isa():
    """Return the name of the unit in use."""
    return pepg_active.name.decode("ascii")


def select_isa(name):
    """Use the unit `name`, or the fastest if None; for tests, and only while no other thread runs a kernel."""
    cdef const char* wanted = NULL
    encoded = name.encode("ascii", "replace") if name is not None else b""
    if name is not None:
        wanted = encoded
    if pepg_select_isa(wanted) != 0:
        raise ValueError(f"isa: wanted one of {', '.join(isas_usable())} (usable on this CPU), got {name!r}")


def available_threads(int n_threads=0):
    """Return the number of threads that a kernel call would use for large work."""
    return pepg_available_threads(n_threads)


def last_team():
    """Return how many threads the last kernel call of this thread used, if it could use several; for tests."""
    return pepg_last_team()


def force_teams(bint forced, *, bint openmp=False):
    """Use a team, of our threads or of OpenMP's, if there is more than one task, however short; for tests."""
    pepg_force_teams(2 if forced and openmp else forced)


def force_stores(stream):
    """Write populations past the caches or through them, whatever their size; None for the faster way. For tests."""
    pepg_force_stores(-1 if stream is None else bool(stream))


def openmp_version():
    """Return the date of the OpenMP version of the build, or 0 without OpenMP."""
    return pepg_openmp_version()


_forced_isa = os.environ.get("PEPG_FAST_ISA", "").strip()
try:
    select_isa(_forced_isa or None)
except ValueError:
    raise ImportError(f"PEPG_FAST_ISA: wanted one of {', '.join(isas_usable())} (usable on this CPU) or nothing, "
                      f"got {_forced_isa!r}") from None

# ---- arguments -----------------------------------------------------------------------------------------------

cdef int _fail(str name, str wanted, object got) except -1:
    raise ValueError(f"{name}: wanted {wanted}, got {got}")


# The data pointer of a contiguous array of `size` elements of type `type_num`.
cdef inline void* _data(cnp.ndarray a, str name, int type_num, Py_ssize_t size, bint writeable) except NULL:
    if a is None:
        _fail(name, "an array", None)
    if cnp.PyArray_TYPE(a) != type_num or not cnp.PyArray_ISNOTSWAPPED(a):
        _fail(name, f"dtype {cnp.PyArray_DescrFromType(type_num)}", a.dtype)
    if not cnp.PyArray_IS_C_CONTIGUOUS(a) or not cnp.PyArray_ISALIGNED(a):
        _fail(name, "a C-contiguous, aligned array", f"strides {(<object>a).strides}")
    if cnp.PyArray_SIZE(a) != size:
        _fail(name, f"{size} elements", f"shape {(<object>a).shape}")
    if writeable and not cnp.PyArray_ISWRITEABLE(a):
        _fail(name, "a writeable array", "a read-only one")
    return cnp.PyArray_DATA(a)


cdef inline void* _optional(cnp.ndarray a, str name, int type_num, Py_ssize_t size, bint writeable) except? NULL:
    return NULL if a is None else _data(a, name, type_num, size, writeable)


# The type number of float64 or float32, in which a call works.
cdef inline int _width(cnp.ndarray a, str name) except -1:
    if a is None or (cnp.PyArray_TYPE(a) != cnp.NPY_DOUBLE and cnp.PyArray_TYPE(a) != cnp.NPY_FLOAT):
        _fail(name, "a float64 or float32 array", "None" if a is None else f"dtype {a.dtype}")
    return cnp.PyArray_TYPE(a)


# The number of elements, at least one.
cdef inline Py_ssize_t _count(cnp.ndarray a, str name) except -1:
    if cnp.PyArray_SIZE(a) < 1:
        _fail(name, "at least one element", f"shape {(<object>a).shape}")
    return cnp.PyArray_SIZE(a)


cdef inline Py_ssize_t _rows(cnp.ndarray a, str name) except -1:
    if cnp.PyArray_NDIM(a) != 2:
        _fail(name, "two dimensions", cnp.PyArray_NDIM(a))
    return cnp.PyArray_DIM(a, 0)


# Refuse arguments that the C functions would refuse, and name them.
cdef inline int _check_draw(Py_ssize_t n, Py_ssize_t d, uint64_t first_pair) except -1:
    cdef pepg_draw draw
    draw.n_pairs, draw.dim, draw.first_pair = n, d, first_pair
    cdef const char* field = fault_of_draw(&draw)
    if field != NULL:
        _fail((<bytes>field).decode(), "at least one pair and one coordinate, and no more than the counters can number",
              f"n_pairs={n}, dim={d}, first_pair={first_pair}")
    return 0


cdef int _check_rules(const pepg_step_rule* step, double l2, const pepg_sigma_rule* sigma) except -1:
    cdef const char* field = fault_of_step_rule(step)
    if field == NULL:
        field = fault_of_sigma_rule(sigma)
    if field == NULL and l2 - l2 != 0.0:
        field = "l2"
    if field != NULL:
        _fail((<bytes>field).decode(), "a number in its range (pepg_fast.h)", "one outside")
    return 0


cdef inline int _raise(int status) except -1:
    if status == PEPG_OK:
        return 0
    if status == PEPG_ENAN:
        raise ValueError("rewards: wanted numbers, got NaN")
    if status == PEPG_ECONTEXT:
        raise RuntimeError("make_context: wanted a context for each thread, got a null pointer")
    raise ValueError(f"kernels: wanted arguments within the ranges of pepg_fast.h, got status {status}")


include "turn.pxi"
include "memory.pxi"
include "rewards.pxi"

# ---- checks that an update makes before it writes anything -----------------------------------------------------


def are_plain(first, second, cnp.ndarray like not None):
    """Return whether both are arrays, not of a subclass, that a kernel can read and write in place, like `like`."""
    return _is_plain(first, like) and _is_plain(second, like)


cdef inline bint _is_plain(array, cnp.ndarray like):
    return (type(array) is cnp.ndarray and cnp.PyArray_SAMESHAPE(<cnp.ndarray>array, like)
            and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.PyArray_TYPE(like)
            and cnp.PyArray_ISCARRAY(<cnp.ndarray>array))


def are_finite(*values):
    """Return whether all values are of type float, not of a subclass, and finite."""
    cdef double x
    for value in values:
        if type(value) is not float:
            return False
        x = PyFloat_AS_DOUBLE(value)
        if x - x != 0.0:
            return False
    return True


def is_all_finite(cnp.ndarray array not None, double above=-INFINITY, int n_threads=0):
    """Return whether all numbers are finite and above a limit."""
    return _all_finite(array, above, n_threads)


cdef enum:
    MANY = 4096  # checking fewer numbers takes less time than releasing the GIL


cdef inline int _all_finite(cnp.ndarray array, double above, int n_threads) except -1:
    cdef int width = _width(array, "array")
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array)
    cdef void* x = _data(array, "array", width, n, False)
    cdef bint is_finite
    if n <= MANY:
        return any_all_finite(width, n, x, above, 1)
    with nogil:
        is_finite = any_all_finite(width, n, x, above, n_threads)
    return is_finite


cpdef bint is_distribution(mu, sigma, Py_ssize_t size, dtype, bint writeable=False, int n_threads=0) except -1:
    """Return whether a search can draw from `mu` and `sigma` (size,), and, if `writeable`, update them in place."""
    return (_is_vector(mu, size, dtype, writeable) and _is_vector(sigma, size, dtype, writeable)
            and _all_finite(mu, -INFINITY, n_threads) == 1 and _all_finite(sigma, 0.0, n_threads) == 1)


cdef inline bint _is_vector(array, Py_ssize_t size, dtype, bint writeable):
    return (type(array) is cnp.ndarray and cnp.PyArray_NDIM(<cnp.ndarray>array) == 1
            and cnp.PyArray_SIZE(<cnp.ndarray>array) == size
            and <object>cnp.PyArray_DESCR(<cnp.ndarray>array) is dtype
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array)
            and (not writeable or cnp.PyArray_ISWRITEABLE(<cnp.ndarray>array)))


cpdef bint are_moments(m, v, cnp.ndarray like, int n_threads=0) except -1:
    """Return whether both are plain (see `are_plain`) and finite, and the second is nowhere below 0."""
    return (_is_plain(m, like) and _is_plain(v, like) and _all_finite(m, -INFINITY, n_threads) == 1
            and _all_finite(v, -5e-324 if cnp.PyArray_TYPE(like) == cnp.NPY_DOUBLE else -1.5e-45, n_threads) == 1)


def first_overlap(cnp.ndarray array not None, list arrays not None):
    """Return the index of the first of `arrays` that shares memory with `array`, or -1; None in the list is skipped."""
    cdef int i
    for i, other in enumerate(arrays):
        if other is not None and np.may_share_memory(array, other):
            return i
    return -1


def digest(cnp.ndarray data not None, int n_threads=0):
    """Return a digest of 16 bytes for the bytes of `data`, whatever its dtype and shape (digest.h)."""
    cdef uint32_t[4] words
    if data.dtype.hasobject:
        _fail("data", "an array of numbers", f"dtype {data.dtype}")
    if not cnp.PyArray_IS_C_CONTIGUOUS(data):
        _fail("data", "a C-contiguous array", f"strides {(<object>data).strides}")
    run_digest(cnp.PyArray_NBYTES(data), cnp.PyArray_DATA(data), words, n_threads)
    return (<char*>words)[:sizeof(words)]


# ---- noise and sampling --------------------------------------------------------------------------------------


def philox4x32(cnp.ndarray counters not None, uint64_t key, cnp.ndarray words not None):
    """Write Philox4x32-10 of `counters` (n, 4) uint32 into `words` (n, 4) uint32."""
    cdef Py_ssize_t n = (_count(counters, "counters") + 3) // 4
    cdef uint32_t* c = <uint32_t*>_data(counters, "counters", cnp.NPY_UINT32, 4 * n, False)
    cdef uint32_t* w = <uint32_t*>_data(words, "words", cnp.NPY_UINT32, 4 * n, True)
    run_philox4x32(n, c, key, w)


def normals(uint64_t key, uint64_t generation, uint64_t first_pair, cnp.ndarray noise not None, int n_threads=0):
    """Write the standard normals of pairs `first_pair` ... into `noise` (n_pairs, dim), float64 or float32."""
    cdef int width = _width(noise, "noise")
    cdef Py_ssize_t n = _rows(noise, "noise"), d = cnp.PyArray_DIM(noise, 1)
    cdef void* z = _data(noise, "noise", width, n * d, True)
    _check_draw(n, d, first_pair)
    run_normals(width, n, d, key, generation, first_pair, z, n_threads)


def sample(uint64_t key, uint64_t generation, uint64_t first_pair, cnp.ndarray mu not None, cnp.ndarray sigma not None,
           cnp.ndarray drawn, cnp.ndarray noise, cnp.ndarray theta not None, int n_threads=0, bint symmetric=True):
    """Write a population around `mu` with `sigma` (dim,) into `theta` (2 n_pairs, dim).

    Its normals go to `noise` (n_pairs, dim), mu and sigma to the rows of `drawn` (2, dim), unless those are None. Not
    `symmetric`: `theta` is (n_pairs, dim), without the mirrored half.
    """
    cdef int width = _width(mu, "mu")
    cdef Py_ssize_t halves = 2 if symmetric else 1
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), n = cnp.PyArray_SIZE(theta) // (halves * d) if d else 0
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* s = _data(sigma, "sigma", width, d, False)
    _optional(drawn, "drawn", width, 2 * d, True)
    cdef float* z = <float*>_optional(noise, "noise", cnp.NPY_FLOAT, n * d, True)
    cdef char* t = <char*>_data(theta, "theta", width, halves * n * d, True)
    _check_draw(n, d, first_pair)
    run_sample(width, n, d, key, generation, first_pair, m, s, z, t,
               t + n * d * cnp.PyArray_ITEMSIZE(mu) if symmetric else NULL, n_threads)
    if drawn is not None:
        _distribution(mu, sigma, drawn, True)


def sample_side(uint64_t key, uint64_t generation, uint64_t first_pair, bint minus, cnp.ndarray drawn not None,
                cnp.ndarray theta not None, int n_threads=0):
    """Write one side of that population into `theta` (n, dim): mu + or - sigma z of pairs from `first_pair` on."""
    cdef int width = _width(drawn, "drawn")
    cdef Py_ssize_t d = cnp.PyArray_SIZE(drawn) // 2, n = cnp.PyArray_SIZE(theta) // d if d else 0
    cdef char* m = <char*>_data(drawn, "drawn", width, 2 * d, False)
    cdef void* t = _data(theta, "theta", width, n * d, True)
    _check_draw(n, d, first_pair)
    run_sample(width, n, d, key, generation, first_pair, m, m + d * cnp.PyArray_ITEMSIZE(drawn), NULL,
               NULL if minus else t, t if minus else NULL, n_threads)


def mirror(cnp.ndarray mu not None, cnp.ndarray epsilon not None, cnp.ndarray theta not None, int n_threads=0,
           bint symmetric=True):
    """Write [mu + epsilon; mu - epsilon] into `theta` (2 n_pairs, dim), or without the second half."""
    cdef int width = _width(mu, "mu")
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), n = cnp.PyArray_SIZE(epsilon) // d if d else 0
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* e = _data(epsilon, "epsilon", width, n * d, False)
    cdef char* t = <char*>_data(theta, "theta", width, (2 if symmetric else 1) * n * d, True)
    _check_draw(n, d, 0)
    run_mirror(width, n, d, m, e, t, t + n * d * cnp.PyArray_ITEMSIZE(mu) if symmetric else NULL, n_threads)


def clip(cnp.ndarray lower not None, cnp.ndarray upper not None, cnp.ndarray values not None, int n_threads=0):
    """Clip the rows of `values` (rows, dim) to [`lower`, `upper`] (dim,), in place."""
    cdef int width = _width(values, "values")
    cdef Py_ssize_t d = _count(lower, "lower"), n = _count(values, "values") // d
    cdef void* low = _data(lower, "lower", width, d, False)
    cdef void* high = _data(upper, "upper", width, d, False)
    cdef void* v = _data(values, "values", width, n * d, True)
    run_clip(width, n, d, low, high, v, n_threads)


def keep_distribution(cnp.ndarray mu not None, cnp.ndarray sigma not None, cnp.ndarray drawn not None):
    """Copy `mu` and `sigma` (dim,) into the rows of `drawn` (2, dim)."""
    _distribution(mu, sigma, drawn, True)


# The data pointer of `drawn`, to whose rows mu and sigma are copied if they are new.
cdef char* _distribution(cnp.ndarray mu, cnp.ndarray sigma, cnp.ndarray drawn, bint is_new) except NULL:
    cdef int width = _width(mu, "mu")
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), row = d * cnp.PyArray_ITEMSIZE(mu)
    cdef char* kept = <char*>_data(drawn, "drawn", width, 2 * d, True)
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* s = _data(sigma, "sigma", width, d, False)
    if is_new:
        memmove(kept, m, row)
        memmove(kept + row, s, row)
    return kept


# ---- rewards -------------------------------------------------------------------------------------------------


# Each call has its own memory for sorting: another thread may rank the same rewards.
cdef int _centered_ranks(Py_ssize_t n, const double* rewards, double* shaped) except -1 nogil:
    cdef double[COMPARED] stack
    cdef size_t needed = pepg_centered_ranks_work_size(n)
    cdef void* allocated = NULL if needed <= sizeof(stack) else malloc(needed)
    if needed > sizeof(stack) and allocated == NULL:
        with gil:
            raise MemoryError(f"rewards: no memory to sort {n} of them")
    cdef int status = pepg_centered_ranks(n, rewards, shaped, stack if allocated == NULL else allocated)
    free(allocated)
    return status


cdef enum:
    COMPARED = 256  # rewards that are ranked without sorting


def centered_ranks(cnp.ndarray rewards not None, cnp.ndarray shaped not None):
    """Write the centered average ranks of `rewards` (n,) into `shaped` (n,), which may be `rewards`."""
    cdef Py_ssize_t n = _some_rewards(rewards)
    cdef double* x = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n, False)
    cdef double* s = <double*>_data(shaped, "shaped", cnp.NPY_DOUBLE, n, True)
    cdef int status
    with nogil:
        status = _centered_ranks(n, x, s)
    _raise(status)


cdef inline Py_ssize_t _some_rewards(cnp.ndarray rewards) except -1:
    if cnp.PyArray_SIZE(rewards) < 2:
        _fail("rewards", "at least two", cnp.PyArray_SIZE(rewards))
    return cnp.PyArray_SIZE(rewards)


def antithetic(cnp.ndarray shaped not None, cnp.ndarray weights not None):
    """Write delta and even of `shaped` (2 n_pairs,) into the two rows of `weights` (2, n_pairs)."""
    cdef Py_ssize_t n = (_count(shaped, "shaped") + 1) // 2
    cdef double* s = <double*>_data(shaped, "shaped", cnp.NPY_DOUBLE, 2 * n, False)
    cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, True)
    run_antithetic(n, s, w, w + n)


def rank_weights(cnp.ndarray rewards not None, cnp.ndarray weights not None):
    """`centered_ranks` in place on `rewards` (2 n_pairs,) and `antithetic` in one call."""
    cdef Py_ssize_t n = _some_rewards(rewards) // 2
    cdef double* x = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, 2 * n, True)
    cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, True)
    cdef int status
    with nogil:
        status = _centered_ranks(2 * n, x, x)
        if status == PEPG_OK:
            status = pepg_antithetic(n, x, w, w + n)
    _raise(status)


# ---- gradients -----------------------------------------------------------------------------------------------


# The inputs of the gradients: the noise of a generation and the weights of its pairs.
cdef struct Draw:
    int width
    Py_ssize_t dim
    pepg_draw c
    double* delta
    double* even
    void* sigma


# Read the first arguments of `gradients` and of the updates, which are the same.
cdef int _read_draw(Draw* draw, uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights,
                    cnp.ndarray drawn) except -1:
    cdef Py_ssize_t n = cnp.PyArray_SIZE(weights) // 2, d
    draw.width = _width(drawn, "drawn")
    d = cnp.PyArray_SIZE(drawn) // 2
    draw.dim = d
    draw.c.n_pairs, draw.c.dim, draw.c.key, draw.c.generation, draw.c.first_pair = n, d, key, generation, 0
    draw.c.noise = <float*>_optional(noise, "noise", cnp.NPY_FLOAT, n * d, False)
    draw.c.epsilon = _optional(epsilon, "epsilon", draw.width, n * d, False)
    draw.delta = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, False)
    draw.even = draw.delta + n
    draw.sigma = <char*>_data(drawn, "drawn", draw.width, 2 * d, False) + d * cnp.PyArray_ITEMSIZE(drawn)
    return _check_draw(n, d, 0)


def gradients(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
              cnp.ndarray drawn, cnp.ndarray g_mu not None, cnp.ndarray g_sigma not None, int n_threads=0):
    """Write both gradients (dim,) from `epsilon` if it is given, else from `noise`, else from noise drawn again.

    `weights` (2, n_pairs) has delta and even, `drawn` (2, dim) the mu and sigma with which the noise was drawn.
    """
    cdef Draw x
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    _gradient_columns(&x, 0, x.dim, g_mu, g_sigma, n_threads)


cdef int _gradient_columns(const Draw* x, Py_ssize_t lo, Py_ssize_t hi, cnp.ndarray g_mu, cnp.ndarray g_sigma,
                           int n_threads) except -1:
    cdef void* gm = _data(g_mu, "g_mu", x.width, hi - lo, True)
    cdef void* gs = _data(g_sigma, "g_sigma", x.width, hi - lo, True)
    return run_gradient_columns(x.width, &x.c, lo, hi, x.delta, x.even, x.sigma, gm, gs, n_threads)


def gradient_columns(uint64_t key, uint64_t generation, cnp.ndarray epsilon, cnp.ndarray weights not None,
                     cnp.ndarray drawn, Py_ssize_t lo, cnp.ndarray g_mu not None, cnp.ndarray g_sigma not None,
                     int n_threads=0):
    """Write columns [lo, lo + m) of both gradients to `g_mu` and `g_sigma` (m,); `lo` is a multiple of 4.

    The noise is `epsilon` if that is given, else it is drawn again. Other arguments are as for `gradients`.
    """
    cdef Draw x
    cdef Py_ssize_t n = _count(g_mu, "g_mu")
    _read_draw(&x, key, generation, None, epsilon, weights, drawn)
    if lo < 0 or lo % 4 or lo > x.dim - n:
        _fail("lo", f"a multiple of 4 with {n} of {x.dim} columns from there on", lo)
    _gradient_columns(&x, lo, lo + n, g_mu, g_sigma, n_threads)


# ---- steps ---------------------------------------------------------------------------------------------------


def adam(cnp.ndarray gradient not None, double alpha, double beta_1, double beta_2, double epsilon, uint64_t t,
         cnp.ndarray m not None, cnp.ndarray v not None, cnp.ndarray step not None, int n_threads=0):
    """Advance Adam's `m` and `v` (n,) by one gradient and write the step (n,); `step` may be `gradient`."""
    cdef int width = _width(gradient, "gradient")
    cdef Py_ssize_t n = _count(gradient, "gradient")
    cdef void* g = _data(gradient, "gradient", width, n, False)
    cdef void* pm = _data(m, "m", width, n, True)
    cdef void* pv = _data(v, "v", width, n, True)
    cdef void* s = _data(step, "step", width, n, True)
    _check_count(t)
    run_adam(width, n, g, alpha, beta_1, beta_2, epsilon, t, pm, pv, s, n_threads)


cdef inline int _check_count(uint64_t t) except -1:
    return 0 if t > 0 else _fail("t", "a count from 1 on", t)


def sigma_step(cnp.ndarray g_sigma not None, double sigma_lr, double sigma_max_change, double sigma_min,
               double sigma_max, cnp.ndarray sigma_limits, cnp.ndarray sigma not None, int n_threads=0):
    """Move `sigma` (n,) along its gradient within its limits, which are three numbers or `sigma_limits` (3, n)."""
    cdef int width = _width(sigma, "sigma")
    cdef Py_ssize_t n = _count(sigma, "sigma")
    cdef void* g = _data(g_sigma, "g_sigma", width, n, False)
    cdef void* limits = _optional(sigma_limits, "sigma_limits", width, 3 * n, False)
    cdef void* s = _data(sigma, "sigma", width, n, True)
    run_sigma_step(width, n, g, sigma_lr, sigma_max_change, sigma_min, sigma_max, limits, s, n_threads)


def velocity_step(cnp.ndarray gradient not None, int rule, double alpha, double momentum, double max_speed,
                  cnp.ndarray velocity not None, cnp.ndarray step not None, int n_threads=0):
    """Write one step by a rule with a velocity into `step`, which may be `gradient`; `velocity` is updated."""
    cdef int width = _width(gradient, "gradient")
    cdef Py_ssize_t n = _count(gradient, "gradient")
    cdef void* g = _data(gradient, "gradient", width, n, False)
    cdef void* v = _data(velocity, "velocity", width, n, True)
    cdef void* s = _data(step, "step", width, n, True)
    _check_velocity_rule(rule)
    cdef double* work = _velocity_work(n)
    try:
        run_velocity_step(width, n, g, rule, alpha, momentum, max_speed, v, s, work, n_threads)
    finally:
        free(work)


cdef inline int _check_velocity_rule(int rule) except -1:
    return 0 if PEPG_SGD <= rule <= PEPG_CLIPUP else _fail("rule", f"one with a velocity, of {RULES}", rule)


cdef inline double* _velocity_work(Py_ssize_t n) except NULL:
    return <double*>_scratch(c_pepg_velocity_work_size(n) * sizeof(double), "gradient")


def norm(cnp.ndarray x not None, int n_threads=0):
    """Return the Euclidean norm of `x`, with the same bits at any number of threads."""
    cdef int width = _width(x, "x")
    cdef Py_ssize_t n = _count(x, "x")
    cdef void* p = _data(x, "x", width, n, False)
    cdef double result = 0.0
    cdef double* work = _velocity_work(n)
    try:
        run_norm(width, n, p, &result, work, n_threads)
    finally:
        free(work)
    return result


# ---- updates -------------------------------------------------------------------------------------------------


def update_adam(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
                cnp.ndarray drawn, double alpha, double beta_1, double beta_2, double adam_epsilon, uint64_t t,
                double l2, double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
                cnp.ndarray sigma_limits, cnp.ndarray m not None, cnp.ndarray v not None, cnp.ndarray mu not None,
                cnp.ndarray sigma not None, cnp.ndarray g_mu, int n_threads=0):
    """Compute gradients, Adam's step of `mu` and the step of `sigma` in one pass (see `gradients`, `sigma_step`).

    `g_mu` receives the gradient of mu unless it is None.
    """
    _check_count(t)
    cdef dict rule = {"kind": PEPG_ADAM, "alpha": alpha, "beta_1": beta_1, "beta_2": beta_2, "epsilon": adam_epsilon,
                      "t": t - 1, "m": m, "v": v}
    cdef Draw x
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    _update_within(&x, rule, l2, sigma_lr, sigma_max_change, sigma_min, sigma_max, sigma_limits, mu, sigma, g_mu, n_threads)


def update_velocity(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
                    cnp.ndarray drawn, int rule, double alpha, double momentum, double max_speed, double l2,
                    double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
                    cnp.ndarray sigma_limits, cnp.ndarray velocity not None, cnp.ndarray mu not None,
                    cnp.ndarray sigma not None, cnp.ndarray g_mu, int n_threads=0):
    """Compute gradients, the step of `mu` by a rule with a velocity, and the step of `sigma` (see `update_adam`)."""
    _check_velocity_rule(rule)
    cdef dict by = {"kind": rule, "alpha": alpha, "momentum": momentum, "max_speed": max_speed, "velocity": velocity}
    cdef Draw x
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    _update_within(&x, by, l2, sigma_lr, sigma_max_change, sigma_min, sigma_max, sigma_limits, mu, sigma, g_mu, n_threads)


cdef int _update_within(const Draw* x, dict rule, double l2, double sigma_lr, double max_change, double least, double most,
                        cnp.ndarray limits, cnp.ndarray mu, cnp.ndarray sigma, cnp.ndarray g_mu, int n_threads) except -1:
    cdef pepg_sigma_rule to
    to.learning_rate, to.max_change, to.minimum, to.maximum = sigma_lr, max_change, least, most
    to.limits, to.stride = _optional(limits, "sigma_limits", x.width, 3 * x.dim, False), x.dim
    return _update(x, rule, l2, &to, mu, sigma, g_mu, n_threads)


# Gradients, the step of mu by a rule (a dict of its fields), and the step of sigma.
cdef int _update(const Draw* x, dict rule, double l2, const pepg_sigma_rule* to, cnp.ndarray mu, cnp.ndarray sigma,
                 cnp.ndarray g_mu, int n_threads) except -1:
    cdef pepg_step_rule step
    cdef double* work = NULL
    _read_rule(rule, x.width, x.dim, &step)
    _check_rules(&step, l2, to)
    cdef void* pmu = _data(mu, "mu", x.width, x.dim, True)
    cdef void* psigma = _data(sigma, "sigma", x.width, x.dim, True)
    cdef void* gm = _optional(g_mu, "g_mu", x.width, x.dim, True)
    if step.kind != PEPG_ADAM:
        work = _velocity_work(x.dim)
    try:
        return run_update(x.width, &x.c, x.delta, x.even, x.sigma, &step, l2, to, pmu, psigma, gm, work, n_threads)
    finally:
        free(work)


include "search.pxi"
include "networks.pxi"
include "low_rank.pxi"
include "native_functions.pxi"
include "native_run.pxi"
