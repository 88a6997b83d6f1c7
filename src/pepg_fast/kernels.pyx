"""Typed forwarding to the C kernels (`pepg_fast.h` has their formulas).

Arrays must be C-contiguous, aligned and of the width the call works in, and outputs writeable; shapes are the
caller's to choose. A mismatch raises ValueError and names the argument. The GIL is released in every C call.
"""

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsDouble, PyLong_Check
from cpython.dict cimport PyDict_GetItem
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport INFINITY, isnan
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

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

cdef extern from "digest.h" nogil:
    int pepg_digest(Py_ssize_t size, const void* data, uint32_t* digest, int n_threads)

cdef extern from "finite.h" nogil:
    bint pepg_all_finite(Py_ssize_t n, const double* x, double above, int n_threads)
    bint pepg_all_finite_f32(Py_ssize_t n, const float* x, float above, int n_threads)

cdef extern from "split.h" nogil:
    Py_ssize_t pepg_pairs_of_block()
    int pepg_gradient_columns(Py_ssize_t n_pairs, Py_ssize_t dim, Py_ssize_t lo, Py_ssize_t hi, uint64_t key,
                              uint64_t generation, const double* epsilon, const double* delta, const double* even,
                              const double* sigma, double* g_mu, double* g_sigma, int n_threads)
    int pepg_gradient_columns_f32(Py_ssize_t n_pairs, Py_ssize_t dim, Py_ssize_t lo, Py_ssize_t hi, uint64_t key,
                                  uint64_t generation, const float* epsilon, const double* delta, const double* even,
                                  const float* sigma, float* g_mu, float* g_sigma, int n_threads)
    int pepg_block_sums(Py_ssize_t n_pairs, Py_ssize_t dim, Py_ssize_t lo, Py_ssize_t hi, uint64_t key,
                        uint64_t generation, const double* epsilon, const double* delta, const double* even,
                        double* sums, int n_threads)
    int pepg_block_sums_f32(Py_ssize_t n_pairs, Py_ssize_t dim, Py_ssize_t lo, Py_ssize_t hi, uint64_t key,
                            uint64_t generation, const float* epsilon, const double* delta, const double* even,
                            float* sums, int n_threads)
    int pepg_gradients_of_sums(Py_ssize_t n_pairs, Py_ssize_t dim, const double* epsilon, const double* sums,
                               const double* even, const double* sigma, double* g_mu, double* g_sigma, int n_threads)
    int pepg_gradients_of_sums_f32(Py_ssize_t n_pairs, Py_ssize_t dim, const float* epsilon, const float* sums,
                                   const double* even, const float* sigma, float* g_mu, float* g_sigma,
                                   int n_threads)

cdef extern from "pepg_fast.h":
    """
    #define SAME(name, value) _Static_assert(name == value, "kernels.pxd: " #name)
    SAME(PEPG_FAST_ABI_VERSION, 1);
    SAME(PEPG_OK, 0);
    SAME(PEPG_EINVAL, 1);
    SAME(PEPG_ENAN, 2);
    SAME(PEPG_EINTERRUPTED, 3);
    SAME(PEPG_IDENTITY, 0);
    SAME(PEPG_SIGMOID, 1);
    SAME(PEPG_TANH, 2);
    SAME(PEPG_RELU, 3);
    SAME(PEPG_SOFTMAX, 4);
    SAME(PEPG_SGD, 0);
    SAME(PEPG_NESTEROV, 1);
    SAME(PEPG_CLIPUP, 2);
    #undef SAME
    """

include "forwarding.pxi"  # the functions of kernels.pxd


ACTIVATIONS = {"identity": PEPG_IDENTITY, "sigmoid": PEPG_SIGMOID, "tanh": PEPG_TANH, "relu": PEPG_RELU,
               "softmax": PEPG_SOFTMAX}

# ---- the process: instruction set, threads -------------------------------------------------------------------


def isas_built():
    """Names of the instruction-set units in this build, slowest first."""
    return _names(pepg_isa_built)


def isas_usable():
    """Names of the units that this CPU can run, slowest first."""
    return _names(pepg_isa_usable)


cdef list _names(const char* (*name)(int) noexcept nogil):
    cdef const char* found = name(0)
    names = []
    while found != NULL:
        names.append((<bytes>found).decode("ascii"))
        found = name(len(names))
    return names


def isa():
    """Name of the unit in use."""
    return pepg_active.name.decode("ascii")


def select_isa(name):
    """Use the unit `name`, or the fastest for None; for tests, and only while no kernel runs in another thread."""
    cdef const char* wanted = NULL
    encoded = name.encode("ascii", "replace") if name is not None else b""
    if name is not None:
        wanted = encoded
    if pepg_select_isa(wanted) != 0:
        raise ValueError(f"isa: wanted one of {', '.join(isas_usable())} (usable on this CPU), got {name!r}")


def available_threads(int n_threads=0):
    """Threads that a kernel call would use for large work."""
    return pepg_available_threads(n_threads)


def last_team():
    """Threads that the last kernel call of this thread used, as far as it could have used several; for tests."""
    return pepg_last_team()


def force_teams(bint forced):
    """Use a team whenever there are tasks for one, whatever the work and whoever stalls; for tests."""
    pepg_force_teams(forced)


def openmp_version():
    """OpenMP version date of the build, 0 without OpenMP."""
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


# Data pointer of a contiguous array of `type_num` and `size` elements.
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


# float64 or float32: the width a call works in.
cdef inline int _width(cnp.ndarray a, str name) except -1:
    if a is None or (cnp.PyArray_TYPE(a) != cnp.NPY_DOUBLE and cnp.PyArray_TYPE(a) != cnp.NPY_FLOAT):
        _fail(name, "a float64 or float32 array", "None" if a is None else f"dtype {a.dtype}")
    return cnp.PyArray_TYPE(a)


# ---- what an update asks before it writes anything -------------------------------------------------------------


def are_plain(first, second, cnp.ndarray like not None):
    """Whether both are arrays, and of no subclass, that a kernel can read and write in place as it does `like`."""
    return _is_plain(first, like) and _is_plain(second, like)


cdef inline bint _is_plain(array, cnp.ndarray like):
    return (type(array) is cnp.ndarray and cnp.PyArray_SAMESHAPE(<cnp.ndarray>array, like)
            and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.PyArray_TYPE(like)
            and cnp.PyArray_ISCARRAY(<cnp.ndarray>array))


def are_finite(*values):
    """Whether all are Python's own floats and finite."""
    cdef double x
    for value in values:
        if type(value) is not float:
            return False
        x = PyFloat_AS_DOUBLE(value)
        if x - x != 0.0:
            return False
    return True


def is_all_finite(cnp.ndarray array not None, double above=-INFINITY, int n_threads=0):
    """Whether all numbers are finite and above a limit."""
    return _all_finite(array, above, n_threads)


cdef inline int _all_finite(cnp.ndarray array, double above, int n_threads) except -1:
    cdef int width = _width(array, "array")
    cdef Py_ssize_t n = cnp.PyArray_SIZE(array)
    cdef void* x = _data(array, "array", width, n, False)
    cdef bint is_finite
    if n <= MANY:  # quicker than giving the GIL away
        return (pepg_all_finite(n, <double*>x, above, 1) if width == cnp.NPY_DOUBLE
                else pepg_all_finite_f32(n, <float*>x, <float>above, 1))
    with nogil:
        if width == cnp.NPY_DOUBLE:
            is_finite = pepg_all_finite(n, <double*>x, above, n_threads)
        else:
            is_finite = pepg_all_finite_f32(n, <float*>x, <float>above, n_threads)
    return is_finite


cdef enum:
    MANY = 4096


cpdef bint is_distribution(mu, sigma, Py_ssize_t size, dtype, bint writeable=False, int n_threads=0) except -1:
    """Whether a search can draw from `mu` and `sigma` (size,), and if `writeable` be updated in place."""
    return (_is_vector(mu, size, dtype, writeable) and _is_vector(sigma, size, dtype, writeable)
            and _all_finite(mu, -INFINITY, n_threads) == 1 and _all_finite(sigma, 0.0, n_threads) == 1)


cdef inline bint _is_vector(array, Py_ssize_t size, dtype, bint writeable):
    return (type(array) is cnp.ndarray and cnp.PyArray_NDIM(<cnp.ndarray>array) == 1
            and cnp.PyArray_SIZE(<cnp.ndarray>array) == size
            and <object>cnp.PyArray_DESCR(<cnp.ndarray>array) is dtype
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array)
            and (not writeable or cnp.PyArray_ISWRITEABLE(<cnp.ndarray>array)))


cpdef bint are_moments(m, v, cnp.ndarray like, int n_threads=0) except -1:
    """Whether both are plain (see `are_plain`) and finite, and the second of them is nowhere below 0."""
    return (_is_plain(m, like) and _is_plain(v, like) and _all_finite(m, -INFINITY, n_threads) == 1
            and _all_finite(v, -5e-324 if cnp.PyArray_TYPE(like) == cnp.NPY_DOUBLE else -1.5e-45, n_threads) == 1)


def first_overlap(cnp.ndarray array not None, list arrays not None):
    """Index of the first of `arrays` (None among them is none) whose memory `array` shares in part; -1 if none does."""
    cdef int i
    for i, other in enumerate(arrays):
        if other is not None and np.may_share_memory(array, other):
            return i
    return -1


cdef inline int _raise(int status) except -1:
    if status == PEPG_OK:
        return 0
    if status == PEPG_ENAN:
        raise ValueError("rewards: wanted numbers, got NaN")
    raise ValueError("sizes: wanted at least one pair and one coordinate, and no more than the counters can number")


@cython.final
@cython.auto_pickle(False)
cdef class Turn:
    """Whose turn it is among threads: a lock that its holder may take again. Some 20 ns where nobody waits."""

    cdef object __weakref__
    cdef PyThread_type_lock lock
    cdef unsigned long holder
    cdef int depth  # how often the holder has taken it; 0 without one

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    def __enter__(self):
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef int is_mine
        if self.depth > 0 and self.holder == me:
            self.depth += 1
            return
        is_mine = PyThread_acquire_lock(self.lock, 0)
        while not is_mine:
            with nogil:
                is_mine = PyThread_acquire_lock_timed(self.lock, 50000, 0)
            if not is_mine:
                PyErr_CheckSignals()
        self.holder, self.depth = me, 1

    def __exit__(self, *raised):
        if self.depth < 1 or self.holder != PyThread_get_thread_ident():
            raise RuntimeError("Turn: wanted the thread that holds it")
        self.depth -= 1
        if self.depth == 0:
            PyThread_release_lock(self.lock)

    cdef bint try_take(self):
        """Take a turn that nobody has, not even the caller."""
        if self.depth > 0 or not PyThread_acquire_lock(self.lock, 0):
            return False
        self.holder, self.depth = PyThread_get_thread_ident(), 1
        return True

    cdef void give(self):
        self.depth = 0
        PyThread_release_lock(self.lock)

    def let_go(self):
        """In a forked child, take the turn from a thread that is not there."""
        if self.depth > 0 and self.holder == PyThread_get_thread_ident():
            return
        # A thread that waited for the GIL may have had the lock without being its holder yet.
        if PyThread_acquire_lock(self.lock, 0):
            PyThread_release_lock(self.lock)
        else:
            self.lock = PyThread_allocate_lock()  # who frees the old one cannot be known
        self.depth = 0


@cython.final
@cython.auto_pickle(False)
cdef class RecycledArray:
    """One array that is handed out again and again, but never while somebody still holds it or a view of it.

    Fresh memory costs several times more than filling memory that was used before.
    """

    cdef cnp.ndarray array
    cdef bint is_own  # made here; memory that was put may be a view of somebody's

    cpdef empty(self, Py_ssize_t rows, Py_ssize_t columns, dtype):
        """An uninitialised array (rows, columns): the last one again if nobody but this object holds it."""
        cdef cnp.npy_intp[2] shape
        cdef cnp.ndarray last = self.array
        cdef int width = cnp.NPY_DOUBLE if dtype.itemsize == 8 else cnp.NPY_FLOAT
        # two references: this object's attribute and the local name
        if (self.is_own and Py_REFCNT(<PyObject*>last) == 2 and cnp.PyArray_NDIM(last) == 2
                and cnp.PyArray_DIM(last, 0) == rows and cnp.PyArray_DIM(last, 1) == columns
                and cnp.PyArray_TYPE(last) == width and cnp.PyArray_ISCARRAY(last)):
            return last
        last = self.array = None  # give the old memory back before asking for more
        self.is_own = False
        shape[0], shape[1] = rows, columns
        self.array = cnp.PyArray_EMPTY(2, shape, width, False)
        self.is_own = True
        return self.array

    def get(self):
        """The array last handed out or put, or None."""
        return self.array

    def put(self, cnp.ndarray array):
        """Hold another array, which is never handed out again; of a subclass' one, a view that is none."""
        self.array, self.is_own = None if array is None else np.asarray(array), False


# ---- comparing processes -------------------------------------------------------------------------------------


def digest(cnp.ndarray data not None, int n_threads=0):
    """The 16 bytes that stand for the bytes of `data`, of whatever dtype and shape, which do not count (digest.h)."""
    cdef uint32_t[4] words
    cdef int status
    if data.dtype.hasobject:
        _fail("data", "an array of numbers", f"dtype {data.dtype}")
    if not cnp.PyArray_IS_C_CONTIGUOUS(data):
        _fail("data", "a C-contiguous array", f"strides {(<object>data).strides}")
    cdef Py_ssize_t size = cnp.PyArray_NBYTES(data)
    cdef void* first = cnp.PyArray_DATA(data)
    with nogil:
        status = pepg_digest(size, first, words, n_threads)
    _raise(status)
    return (<char*>words)[:sizeof(words)]


# ---- noise and sampling --------------------------------------------------------------------------------------


def philox4x32(cnp.ndarray counters not None, uint64_t key, cnp.ndarray words not None):
    """Write Philox4x32-10 of `counters` (n, 4) uint32 into `words` (n, 4) uint32."""
    cdef Py_ssize_t size = cnp.PyArray_SIZE(counters), n = size // 4
    cdef uint32_t* c = <uint32_t*>_data(counters, "counters", cnp.NPY_UINT32, 4 * n, False)
    cdef uint32_t* w = <uint32_t*>_data(words, "words", cnp.NPY_UINT32, 4 * n, True)
    cdef int status
    with nogil:
        status = pepg_philox4x32(n, c, key, w)
    _raise(status)


def normals(uint64_t key, uint64_t generation, uint64_t first_pair, cnp.ndarray noise not None, int n_threads=0):
    """Write the standard normals of pairs `first_pair` ... into `noise` (n_pairs, dim), float64 or float32."""
    cdef int width = _width(noise, "noise"), status
    if cnp.PyArray_NDIM(noise) != 2:
        _fail("noise", "two dimensions", cnp.PyArray_NDIM(noise))
    cdef Py_ssize_t n = cnp.PyArray_DIM(noise, 0), d = cnp.PyArray_DIM(noise, 1)
    cdef void* z = _data(noise, "noise", width, n * d, True)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_normals(n, d, key, generation, first_pair, <double*>z, n_threads)
        else:
            status = pepg_normals_f32(n, d, key, generation, first_pair, <float*>z, n_threads)
    _raise(status)


def sample(uint64_t key, uint64_t generation, uint64_t first_pair, cnp.ndarray mu not None, cnp.ndarray sigma not None,
           cnp.ndarray drawn, cnp.ndarray noise, cnp.ndarray theta not None, int n_threads=0, bint symmetric=True):
    """Write a population around `mu` with `sigma` (dim,) into `theta` (2 n_pairs, dim).

    Its normals go to `noise` (n_pairs, dim), mu and sigma to the rows of `drawn` (2, dim), unless those are None. Not
    `symmetric`: `theta` is (n_pairs, dim), without the mirrored half.
    """
    cdef int width = _width(mu, "mu"), status
    cdef Py_ssize_t halves = 2 if symmetric else 1
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), n = cnp.PyArray_SIZE(theta) // (halves * d) if d else 0
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* s = _data(sigma, "sigma", width, d, False)
    cdef void* kept = _optional(drawn, "drawn", width, 2 * d, True)
    cdef float* z = <float*>_optional(noise, "noise", cnp.NPY_FLOAT, n * d, True)
    cdef void* t = _data(theta, "theta", width, halves * n * d, True)
    _sample(width, n, d, key, generation, first_pair, m, s, <char*>kept, z, <char*>t, symmetric, n_threads)


cdef int _sample(int width, Py_ssize_t n, Py_ssize_t d, uint64_t key, uint64_t generation, uint64_t first_pair, void* mu,
                 void* sigma, char* drawn, float* noise, char* theta, bint symmetric, int n_threads) except -1:
    cdef Py_ssize_t row = d * (8 if width == cnp.NPY_DOUBLE else 4)
    cdef char* minus = theta + n * row if symmetric else NULL
    cdef int status
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_sample(n, d, key, generation, first_pair, <double*>mu, <double*>sigma, noise, <double*>theta,
                                 <double*>minus, n_threads)
        else:
            status = pepg_sample_f32(n, d, key, generation, first_pair, <float*>mu, <float*>sigma, noise,
                                     <float*>theta, <float*>minus, n_threads)
    _raise(status)
    if drawn != NULL:
        memmove(drawn, mu, row)
        memmove(drawn + row, sigma, row)
    return 0


def sample_side(uint64_t key, uint64_t generation, uint64_t first_pair, bint minus, cnp.ndarray drawn not None,
                cnp.ndarray theta not None, int n_threads=0):
    """Write one side of that population, mu + or - sigma z of the pairs from `first_pair` on, into `theta` (n, dim)."""
    cdef int width = _width(drawn, "drawn"), status
    cdef Py_ssize_t d = cnp.PyArray_SIZE(drawn) // 2, n = cnp.PyArray_SIZE(theta) // d if d else 0
    cdef char* m = <char*>_data(drawn, "drawn", width, 2 * d, False)
    cdef char* s = m + d * cnp.PyArray_ITEMSIZE(drawn)
    cdef void* t = _data(theta, "theta", width, n * d, True)
    cdef void* plus = NULL if minus else t
    cdef void* other = t if minus else NULL
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_sample(n, d, key, generation, first_pair, <double*>m, <double*>s, NULL, <double*>plus,
                                 <double*>other, n_threads)
        else:
            status = pepg_sample_f32(n, d, key, generation, first_pair, <float*>m, <float*>s, NULL, <float*>plus,
                                     <float*>other, n_threads)
    _raise(status)


def mirror(cnp.ndarray mu not None, cnp.ndarray epsilon not None, cnp.ndarray theta not None, int n_threads=0,
           bint symmetric=True):
    """Write [mu + epsilon; mu - epsilon] into `theta` (2 n_pairs, dim), or without the second half."""
    cdef int width = _width(mu, "mu"), status
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), n = cnp.PyArray_SIZE(epsilon) // d if d else 0
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* e = _data(epsilon, "epsilon", width, n * d, False)
    cdef char* t = <char*>_data(theta, "theta", width, (2 if symmetric else 1) * n * d, True)
    cdef char* minus = t + n * d * cnp.PyArray_ITEMSIZE(mu) if symmetric else NULL
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_mirror(n, d, <double*>m, <double*>e, <double*>t, <double*>minus, n_threads)
        else:
            status = pepg_mirror_f32(n, d, <float*>m, <float*>e, <float*>t, <float*>minus, n_threads)
    _raise(status)


def clip(cnp.ndarray lower not None, cnp.ndarray upper not None, cnp.ndarray values not None, int n_threads=0):
    """Clip the rows of `values` (rows, dim) to [`lower`, `upper`] (dim,), in place."""
    cdef int width = _width(values, "values"), status
    cdef Py_ssize_t d = cnp.PyArray_SIZE(lower), n = cnp.PyArray_SIZE(values) // d if d else 0
    cdef void* low = _data(lower, "lower", width, d, False)
    cdef void* high = _data(upper, "upper", width, d, False)
    cdef void* v = _data(values, "values", width, n * d, True)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_clip(n, d, <double*>low, <double*>high, <double*>v, n_threads)
        else:
            status = pepg_clip_f32(n, d, <float*>low, <float*>high, <float*>v, n_threads)
    _raise(status)


def keep_distribution(cnp.ndarray mu not None, cnp.ndarray sigma not None, cnp.ndarray drawn not None):
    """Copy `mu` and `sigma` (dim,) into the rows of `drawn` (2, dim)."""
    cdef int width = _width(mu, "mu")
    cdef Py_ssize_t d = cnp.PyArray_SIZE(mu), size = d * cnp.PyArray_ITEMSIZE(mu)
    cdef char* to = <char*>_data(drawn, "drawn", width, 2 * d, True)
    cdef void* m = _data(mu, "mu", width, d, False)
    cdef void* s = _data(sigma, "sigma", width, d, False)
    memmove(to, m, size)
    memmove(to + size, s, size)


# ---- fitness -------------------------------------------------------------------------------------------------


def read_rewards(rewards, cnp.ndarray out not None, bint maximize=True):
    """Copy a list or float64 vector of numbers into `out` (n,) float64 and return the index of the best.

    Where less is better (not `maximize`), their negatives. Returns -1, with `out` undefined, for anything else (the
    caller has the slow way and the messages); -2 - i if reward i is the first NaN. No temporary is made.
    """
    return _read_rewards(rewards, out, maximize)


cdef Py_ssize_t _read_rewards(rewards, cnp.ndarray out, bint maximize) except? -1:
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out), i, best = 0
    cdef double* x = <double*>_data(out, "out", cnp.NPY_DOUBLE, n, True)
    cdef double top
    if n < 1:
        _fail("out", "at least one element", "none")
    if type(rewards) is list and len(<list>rewards) == n:
        if not _numbers_of_list(<list>rewards, x):
            return -1
    elif (type(rewards) is cnp.ndarray and cnp.PyArray_TYPE(rewards) == cnp.NPY_DOUBLE
          and cnp.PyArray_NDIM(rewards) == 1 and cnp.PyArray_DIM(rewards, 0) == n
          and cnp.PyArray_ISCARRAY_RO(rewards)):
        memcpy(x, cnp.PyArray_DATA(rewards), n * sizeof(double))
    else:
        return -1
    if not maximize:
        for i in range(n):
            x[i] = -x[i]
    top = x[0]
    for i in range(n):
        if not x[i] <= top:  # better, or NaN
            if isnan(x[i]):
                return -2 - i
            best, top = i, x[i]
    return best if not isnan(top) else -2


# A list made from an array holds these; knowing the type spares a walk through its bases for each item.
cdef PyTypeObject* FLOAT64 = <PyTypeObject*>np.float64


# Copy the numbers of a list to x; False if one is neither a float nor an int.
cdef inline bint _numbers_of_list(list values, double* x) except -1:
    cdef Py_ssize_t i
    cdef PyObject* item
    for i in range(len(values)):
        item = PyList_GET_ITEM(values, i)
        if Py_TYPE(item) == FLOAT64 or PyFloat_Check(<object>item):
            x[i] = PyFloat_AS_DOUBLE(<object>item)
        elif PyLong_Check(<object>item):
            x[i] = PyLong_AsDouble(<object>item)
        else:
            return False
    return True


# Room to sort in is the call's own: another thread may be at the same rewards.
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
    cdef Py_ssize_t n = cnp.PyArray_SIZE(rewards)
    cdef double* x = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n, False)
    cdef double* s = <double*>_data(shaped, "shaped", cnp.NPY_DOUBLE, n, True)
    cdef int status
    with nogil:
        status = _centered_ranks(n, x, s)
    _raise(status)


def antithetic(cnp.ndarray shaped not None, cnp.ndarray weights not None):
    """Write delta and even of `shaped` (2 n_pairs,) into the two rows of `weights` (2, n_pairs)."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(shaped) // 2
    cdef double* s = <double*>_data(shaped, "shaped", cnp.NPY_DOUBLE, 2 * n, False)
    cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, True)
    cdef int status
    with nogil:
        status = pepg_antithetic(n, s, w, w + n)
    _raise(status)


def rank_weights(cnp.ndarray rewards not None, cnp.ndarray weights not None):
    """`centered_ranks` in place on `rewards` (2 n_pairs,) and `antithetic` in one call."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(rewards) // 2
    cdef double* x = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, 2 * n, True)
    cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, True)
    cdef int status
    with nogil:
        status = _centered_ranks(2 * n, x, x)
        if status == PEPG_OK:
            status = pepg_antithetic(n, x, w, w + n)
    _raise(status)


# ---- gradients and steps -------------------------------------------------------------------------------------


# What the gradients are taken from: the noise of a generation and the weights of its pairs.
cdef struct Draw:
    int width
    Py_ssize_t n_pairs, dim
    uint64_t key, generation
    float* noise
    void* epsilon
    double* delta
    double* even
    void* sigma


# Fill in the first arguments of `gradients` and the updates, which share them.
cdef int _read_draw(Draw* draw, uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights,
                    cnp.ndarray drawn) except -1:
    cdef Py_ssize_t d, n = cnp.PyArray_SIZE(weights) // 2
    draw.width = _width(drawn, "drawn")
    d = cnp.PyArray_SIZE(drawn) // 2
    draw.n_pairs, draw.dim = n, d
    draw.key, draw.generation = key, generation
    draw.noise = <float*>_optional(noise, "noise", cnp.NPY_FLOAT, n * d, False)
    draw.epsilon = _optional(epsilon, "epsilon", draw.width, n * d, False)
    draw.delta = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, 2 * n, False)
    draw.even = draw.delta + n
    draw.sigma = <char*>_data(drawn, "drawn", draw.width, 2 * d, False) + d * cnp.PyArray_ITEMSIZE(drawn)
    return 0


def gradients(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
              cnp.ndarray drawn, cnp.ndarray g_mu not None, cnp.ndarray g_sigma not None, int n_threads=0):
    """Write both gradients (dim,) from `epsilon` if it is given, else from `noise`, else from noise drawn again.

    `weights` (2, n_pairs) are delta and even, `drawn` (2, dim) the mu and sigma that the noise was drawn with.
    """
    cdef Draw x
    cdef int status
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    cdef void* gm = _data(g_mu, "g_mu", x.width, x.dim, True)
    cdef void* gs = _data(g_sigma, "g_sigma", x.width, x.dim, True)
    with nogil:
        if x.width == cnp.NPY_DOUBLE:
            if x.epsilon != NULL:
                status = pepg_gradients_epsilon(x.n_pairs, x.dim, <double*>x.epsilon, x.delta, x.even,
                                                <double*>x.sigma, <double*>gm, <double*>gs, n_threads)
            else:
                status = pepg_gradients(x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, x.delta, x.even,
                                        <double*>x.sigma, <double*>gm, <double*>gs, n_threads)
        elif x.epsilon != NULL:
            status = pepg_gradients_epsilon_f32(x.n_pairs, x.dim, <float*>x.epsilon, x.delta, x.even,
                                                <float*>x.sigma, <float*>gm, <float*>gs, n_threads)
        else:
            status = pepg_gradients_f32(x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, x.delta, x.even,
                                        <float*>x.sigma, <float*>gm, <float*>gs, n_threads)
    _raise(status)


# ---- parts of a gradient (split.h) ---------------------------------------------------------------------------


def pairs_of_block():
    """How many pairs are summed in one go: a gradient is the sum of these blocks, in order."""
    return pepg_pairs_of_block()


def gradient_columns(uint64_t key, uint64_t generation, cnp.ndarray epsilon, cnp.ndarray weights not None,
                     cnp.ndarray drawn, Py_ssize_t lo, cnp.ndarray g_mu not None, cnp.ndarray g_sigma not None,
                     int n_threads=0):
    """Write columns [lo, lo + m) of both gradients to `g_mu` and `g_sigma` (m,); `lo` a multiple of 4.

    The noise is `epsilon` if that is given, else drawn again; the rest as in `gradients`.
    """
    cdef Draw x
    cdef int status
    cdef Py_ssize_t hi = lo + cnp.PyArray_SIZE(g_mu)
    _read_draw(&x, key, generation, None, epsilon, weights, drawn)
    cdef void* gm = _data(g_mu, "g_mu", x.width, hi - lo, True)
    cdef void* gs = _data(g_sigma, "g_sigma", x.width, hi - lo, True)
    with nogil:
        if x.width == cnp.NPY_DOUBLE:
            status = pepg_gradient_columns(x.n_pairs, x.dim, lo, hi, x.key, x.generation, <double*>x.epsilon, x.delta,
                                           x.even, <double*>x.sigma, <double*>gm, <double*>gs, n_threads)
        else:
            status = pepg_gradient_columns_f32(x.n_pairs, x.dim, lo, hi, x.key, x.generation, <float*>x.epsilon,
                                               x.delta, x.even, <float*>x.sigma, <float*>gm, <float*>gs, n_threads)
    _raise(status)


def block_sums(uint64_t key, uint64_t generation, cnp.ndarray epsilon, cnp.ndarray weights not None, cnp.ndarray drawn,
               Py_ssize_t lo, cnp.ndarray sums not None, int n_threads=0):
    """Write the sums of blocks [lo, lo + b) of pairs to `sums` (b, 2, dim)."""
    cdef Draw x
    cdef int status
    _read_draw(&x, key, generation, None, epsilon, weights, drawn)
    cdef Py_ssize_t b = cnp.PyArray_SIZE(sums) // (2 * x.dim) if x.dim else 0
    cdef void* s = _data(sums, "sums", x.width, 2 * b * x.dim, True)
    with nogil:
        if x.width == cnp.NPY_DOUBLE:
            status = pepg_block_sums(x.n_pairs, x.dim, lo, lo + b, x.key, x.generation, <double*>x.epsilon, x.delta,
                                     x.even, <double*>s, n_threads)
        else:
            status = pepg_block_sums_f32(x.n_pairs, x.dim, lo, lo + b, x.key, x.generation, <float*>x.epsilon,
                                         x.delta, x.even, <float*>s, n_threads)
    _raise(status)


def gradients_of_sums(cnp.ndarray epsilon, cnp.ndarray weights not None, cnp.ndarray drawn, cnp.ndarray sums not None,
                      cnp.ndarray g_mu not None, cnp.ndarray g_sigma not None, int n_threads=0):
    """Write both gradients (dim,) from the sums of all blocks; `epsilon` only tells what they are sums of."""
    cdef Draw x
    cdef int status
    _read_draw(&x, 0, 0, None, epsilon, weights, drawn)
    cdef Py_ssize_t b = (x.n_pairs + pepg_pairs_of_block() - 1) // pepg_pairs_of_block()
    cdef void* s = _data(sums, "sums", x.width, 2 * b * x.dim, False)
    cdef void* gm = _data(g_mu, "g_mu", x.width, x.dim, True)
    cdef void* gs = _data(g_sigma, "g_sigma", x.width, x.dim, True)
    with nogil:
        if x.width == cnp.NPY_DOUBLE:
            status = pepg_gradients_of_sums(x.n_pairs, x.dim, <double*>x.epsilon, <double*>s, x.even,
                                            <double*>x.sigma, <double*>gm, <double*>gs, n_threads)
        else:
            status = pepg_gradients_of_sums_f32(x.n_pairs, x.dim, <float*>x.epsilon, <float*>s, x.even,
                                                <float*>x.sigma, <float*>gm, <float*>gs, n_threads)
    _raise(status)


# ---- steps ---------------------------------------------------------------------------------------------------


def adam(cnp.ndarray gradient not None, double alpha, double beta_1, double beta_2, double epsilon, uint64_t t,
         cnp.ndarray m not None, cnp.ndarray v not None, cnp.ndarray step not None, int n_threads=0):
    """Advance Adam's `m` and `v` (n,) by one gradient and write the step (n,); `step` may be `gradient`."""
    cdef int width = _width(gradient, "gradient"), status
    cdef Py_ssize_t n = cnp.PyArray_SIZE(gradient)
    cdef void* g = _data(gradient, "gradient", width, n, False)
    cdef void* pm = _data(m, "m", width, n, True)
    cdef void* pv = _data(v, "v", width, n, True)
    cdef void* s = _data(step, "step", width, n, True)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_adam(n, <double*>g, alpha, beta_1, beta_2, epsilon, t, <double*>pm, <double*>pv,
                               <double*>s, n_threads)
        else:
            status = pepg_adam_f32(n, <float*>g, alpha, beta_1, beta_2, epsilon, t, <float*>pm, <float*>pv,
                                   <float*>s, n_threads)
    _raise(status)


def sigma_step(cnp.ndarray g_sigma not None, double sigma_lr, double sigma_max_change, double sigma_min,
               double sigma_max, cnp.ndarray sigma_limits, cnp.ndarray sigma not None, int n_threads=0):
    """Move `sigma` (n,) along its gradient, within its limits: three numbers, or `sigma_limits` (3, n)."""
    cdef int width = _width(sigma, "sigma"), status
    cdef Py_ssize_t n = cnp.PyArray_SIZE(sigma)
    cdef void* g = _data(g_sigma, "g_sigma", width, n, False)
    cdef void* limits = _optional(sigma_limits, "sigma_limits", width, 3 * n, False)
    cdef void* s = _data(sigma, "sigma", width, n, True)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_sigma_step(n, <double*>g, sigma_lr, sigma_max_change, sigma_min, sigma_max,
                                     <double*>limits, <double*>s, n_threads)
        else:
            status = pepg_sigma_step_f32(n, <float*>g, sigma_lr, sigma_max_change, sigma_min, sigma_max,
                                         <float*>limits, <float*>s, n_threads)
    _raise(status)


def update_adam(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
                cnp.ndarray drawn, double alpha, double beta_1, double beta_2, double adam_epsilon, uint64_t t,
                double l2, double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
                cnp.ndarray sigma_limits, cnp.ndarray m not None, cnp.ndarray v not None, cnp.ndarray mu not None,
                cnp.ndarray sigma not None, cnp.ndarray g_mu, int n_threads=0):
    """Gradients, Adam on `mu` and the step of `sigma` in one pass over the noise (see `gradients`, `sigma_step`).

    `g_mu` receives that gradient unless it is None.
    """
    cdef Draw x
    cdef int status
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    cdef void* limits = _optional(sigma_limits, "sigma_limits", x.width, 3 * x.dim, False)
    cdef void* pm = _data(m, "m", x.width, x.dim, True)
    cdef void* pv = _data(v, "v", x.width, x.dim, True)
    cdef void* pmu = _data(mu, "mu", x.width, x.dim, True)
    cdef void* psigma = _data(sigma, "sigma", x.width, x.dim, True)
    cdef void* gm = _optional(g_mu, "g_mu", x.width, x.dim, True)
    with nogil:
        status = _update_adam(&x, alpha, beta_1, beta_2, adam_epsilon, t, l2, sigma_lr, sigma_max_change, sigma_min,
                              sigma_max, limits, pm, pv, pmu, psigma, gm, n_threads)
    _raise(status)


cdef int _update_adam(Draw* x, double alpha, double beta_1, double beta_2, double epsilon, uint64_t t, double l2,
                      double sigma_lr, double max_change, double least, double most, void* limits, void* m, void* v,
                      void* mu, void* sigma, void* g_mu, int n_threads) noexcept nogil:
    if x.width == cnp.NPY_DOUBLE:
        return pepg_update_adam(
            x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, <double*>x.epsilon, x.delta, x.even, <double*>x.sigma,
            alpha, beta_1, beta_2, epsilon, t, l2, sigma_lr, max_change, least, most, <double*>limits, <double*>m,
            <double*>v, <double*>mu, <double*>sigma, <double*>g_mu, n_threads)
    return pepg_update_adam_f32(
        x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, <float*>x.epsilon, x.delta, x.even, <float*>x.sigma,
        alpha, beta_1, beta_2, epsilon, t, l2, sigma_lr, max_change, least, most, <float*>limits, <float*>m,
        <float*>v, <float*>mu, <float*>sigma, <float*>g_mu, n_threads)


include "usual.pxi"


VELOCITY_RULES = {"sgd": PEPG_SGD, "nesterov": PEPG_NESTEROV, "clipup": PEPG_CLIPUP}


def velocity_step(cnp.ndarray gradient not None, int rule, double alpha, double momentum, double max_speed,
                  cnp.ndarray velocity not None, cnp.ndarray step not None, int n_threads=0):
    """One step by a rule with a velocity, written into `step`, which may be `gradient`; `velocity` in and out."""
    cdef int width = _width(gradient, "gradient"), status
    cdef Py_ssize_t n = cnp.PyArray_SIZE(gradient)
    cdef void* g = _data(gradient, "gradient", width, n, False)
    cdef void* v = _data(velocity, "velocity", width, n, True)
    cdef void* s = _data(step, "step", width, n, True)
    cdef double* work = _velocity_work(n)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_velocity_step(n, <double*>g, rule, alpha, momentum, max_speed, <double*>v, <double*>s, work,
                                        n_threads)
        else:
            status = pepg_velocity_step_f32(n, <float*>g, rule, alpha, momentum, max_speed, <float*>v, <float*>s, work,
                                            n_threads)
        free(work)
    _raise(status)


def update_velocity(uint64_t key, uint64_t generation, cnp.ndarray noise, cnp.ndarray epsilon, cnp.ndarray weights not None,
                    cnp.ndarray drawn, int rule, double alpha, double momentum, double max_speed, double l2,
                    double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
                    cnp.ndarray sigma_limits, cnp.ndarray velocity not None, cnp.ndarray mu not None,
                    cnp.ndarray sigma not None, cnp.ndarray g_mu, int n_threads=0):
    """Gradients, a step of `mu` by a rule with a velocity, and the step of `sigma` (see `update_adam`)."""
    cdef Draw x
    cdef int status
    _read_draw(&x, key, generation, noise, epsilon, weights, drawn)
    cdef void* limits = _optional(sigma_limits, "sigma_limits", x.width, 3 * x.dim, False)
    cdef void* pv = _data(velocity, "velocity", x.width, x.dim, True)
    cdef void* pmu = _data(mu, "mu", x.width, x.dim, True)
    cdef void* psigma = _data(sigma, "sigma", x.width, x.dim, True)
    cdef void* gm = _optional(g_mu, "g_mu", x.width, x.dim, True)
    cdef double* work = _velocity_work(x.dim)
    with nogil:
        if x.width == cnp.NPY_DOUBLE:
            status = pepg_update_velocity(
                x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, <double*>x.epsilon, x.delta, x.even,
                <double*>x.sigma, rule, alpha, momentum, max_speed, l2, sigma_lr, sigma_max_change, sigma_min,
                sigma_max, <double*>limits, <double*>pv, <double*>pmu, <double*>psigma, <double*>gm, work, n_threads)
        else:
            status = pepg_update_velocity_f32(
                x.n_pairs, x.dim, x.key, x.generation, 0, x.noise, <float*>x.epsilon, x.delta, x.even,
                <float*>x.sigma, rule, alpha, momentum, max_speed, l2, sigma_lr, sigma_max_change, sigma_min,
                sigma_max, <float*>limits, <float*>pv, <float*>pmu, <float*>psigma, <float*>gm, work, n_threads)
        free(work)
    _raise(status)


def norm(cnp.ndarray x not None, int n_threads=0):
    """Euclidean norm of `x`, the same bits at any number of threads."""
    cdef int width = _width(x, "x"), status
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef void* p = _data(x, "x", width, n, False)
    cdef double result = 0.0
    cdef double* work = _velocity_work(n)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_norm(n, <double*>p, &result, work, n_threads)
        else:
            status = pepg_norm_f32(n, <float*>p, &result, work, n_threads)
        free(work)
    _raise(status)
    return result


cdef inline double* _velocity_work(Py_ssize_t n) except NULL:
    cdef double* work = <double*>malloc((pepg_velocity_work_size(n) + 1) * sizeof(double))
    if work == NULL:
        raise MemoryError()
    return work


# ---- multilayer perceptrons ----------------------------------------------------------------------------------

cdef enum:
    STACK_SCRATCH = 1024  # doubles on the stack before scratch memory is allocated
    MOST_LAYERS = 1 << 20


@cython.final
cdef class Perceptron:
    """The shape of a multilayer perceptron, ready for the forward kernels; it holds no weights."""

    cdef Py_ssize_t* sizes
    cdef readonly int n_layers
    cdef int bias, hidden, output
    cdef readonly Py_ssize_t n_inputs, n_outputs, n_parameters
    cdef size_t single_work

    def __cinit__(self, sizes, bint bias, int hidden, int output):
        cdef int i
        cdef tuple widths = tuple(sizes)  # whose length stays
        if not 2 <= len(widths) <= MOST_LAYERS:
            _fail("sizes", f"2 to {MOST_LAYERS} of them", len(widths))
        self.n_layers = <int>len(widths) - 1
        self.sizes = <Py_ssize_t*>malloc(len(widths) * sizeof(Py_ssize_t))
        if self.sizes == NULL:
            raise MemoryError()
        for i in range(self.n_layers + 1):
            self.sizes[i] = widths[i]
        self.bias, self.hidden, self.output = bias, hidden, output
        self.n_inputs, self.n_outputs = self.sizes[0], self.sizes[self.n_layers]
        self.n_parameters = pepg_network_parameters(self.n_layers, self.sizes, bias)
        if self.n_parameters == 0:
            _fail("sizes", "positive sizes whose parameters can be counted", list(sizes))
        self.single_work = pepg_forward_work_size(self.n_layers, self.sizes, 1, 1)
        if self.single_work == 0:
            _fail("sizes", "layers that there can be memory for", list(sizes))

    def __dealloc__(self):
        free(self.sizes)

    def __reduce__(self):
        return Perceptron, ([self.sizes[i] for i in range(self.n_layers + 1)], bool(self.bias), self.hidden,
                            self.output)

    def one(self, cnp.ndarray weights not None, value):
        """Outputs (out,) float64 for one input: a float64 vector or a list of numbers. None for anything else."""
        cdef Py_ssize_t n = self.sizes[0]
        cdef cnp.npy_intp outputs = self.sizes[self.n_layers]
        cdef double[STACK_SCRATCH] stack
        cdef double* work = stack
        cdef double* x
        cdef double* w = <double*>_data(weights, "weights", cnp.NPY_DOUBLE, self.n_parameters, False)
        cdef double* allocated = NULL
        cdef size_t needed = self.single_work
        cdef cnp.ndarray y
        cdef int status
        if type(value) is list and len(<list>value) == n:
            needed += n
        elif not (type(value) is cnp.ndarray and cnp.PyArray_TYPE(value) == cnp.NPY_DOUBLE
                  and cnp.PyArray_NDIM(value) == 1 and cnp.PyArray_DIM(value, 0) == n
                  and cnp.PyArray_ISCARRAY_RO(value)):
            return None
        y = cnp.PyArray_EMPTY(1, &outputs, cnp.NPY_DOUBLE, False)
        if needed > STACK_SCRATCH:
            work = allocated = <double*>malloc(needed * sizeof(double))
            if allocated == NULL:
                raise MemoryError()
        try:
            if type(value) is list:
                x = work + self.single_work
                if not _numbers_of_list(<list>value, x):
                    return None
            else:
                x = <double*>cnp.PyArray_DATA(value)
            with nogil:
                status = pepg_forward(self.n_layers, self.sizes, self.bias, self.hidden, self.output, 1, w, x,
                                      <double*>cnp.PyArray_DATA(y), work, 0)
        finally:
            free(allocated)
        _raise(status)
        return y

    def batch(self, cnp.ndarray weights not None, cnp.ndarray x not None, cnp.ndarray y not None, int n_threads=0):
        """Write the outputs of `x` (batch, in) into `y` (batch, out), one set of weights, one width throughout."""
        cdef int width = _width(weights, "weights"), status
        cdef Py_ssize_t batch = cnp.PyArray_SIZE(x) // self.sizes[0]
        cdef void* w = _data(weights, "weights", width, self.n_parameters, False)
        cdef void* px = _data(x, "x", width, batch * self.sizes[0], False)
        cdef void* py = _data(y, "y", width, batch * self.sizes[self.n_layers], True)
        cdef size_t needed = pepg_forward_work_size(self.n_layers, self.sizes, batch, n_threads)
        if needed == 0:
            _fail("x", "at least one input, and no more than there can be memory for", f"shape {(<object>x).shape}")
        cdef void* work = malloc(needed * sizeof(double))
        if work == NULL:
            raise MemoryError()
        with nogil:
            if width == cnp.NPY_DOUBLE:
                status = pepg_forward(self.n_layers, self.sizes, self.bias, self.hidden, self.output, batch,
                                      <double*>w, <double*>px, <double*>py, <double*>work, n_threads)
            else:
                status = pepg_forward_f32(self.n_layers, self.sizes, self.bias, self.hidden, self.output, batch,
                                          <float*>w, <float*>px, <float*>py, <float*>work, n_threads)
            free(work)
        _raise(status)

    def population(self, cnp.ndarray solutions not None, cnp.ndarray inputs not None, int n_threads=0):
        """Outputs (n, out) or (n, batch, out) of `solutions` (n, parameters) for `inputs` (n, in) or (n, batch, in).

        Both of one width. Rows of `solutions` and vectors of `inputs` must be contiguous; strides between them are
        free, 0 included.
        """
        cdef int width = _width(solutions, "solutions"), status, input_dims = cnp.PyArray_NDIM(inputs)
        cdef Py_ssize_t item = 8 if width == cnp.NPY_DOUBLE else 4
        cdef Py_ssize_t n, batch = 1
        cdef Py_ssize_t member_stride, input_stride = 0, weights_stride
        cdef cnp.npy_intp[3] shape
        _check_rows(solutions, "solutions", width, self.n_parameters)
        if cnp.PyArray_NDIM(solutions) != 2:
            _fail("solutions", "two dimensions", cnp.PyArray_NDIM(solutions))
        _check_rows(inputs, "inputs", width, self.sizes[0])
        n = cnp.PyArray_DIM(solutions, 0)
        if not 2 <= input_dims <= 3 or cnp.PyArray_DIM(inputs, 0) != n:
            _fail("inputs", f"one input or batch for each of {n} members", f"shape {(<object>inputs).shape}")
        if input_dims == 3:
            batch = cnp.PyArray_DIM(inputs, 1)
            input_stride = cnp.PyArray_STRIDE(inputs, 1) // item
        weights_stride = cnp.PyArray_STRIDE(solutions, 0) // item
        member_stride = cnp.PyArray_STRIDE(inputs, 0) // item
        shape[0], shape[1], shape[2] = n, batch, self.sizes[self.n_layers]
        if input_dims == 2:
            shape[1] = shape[2]
        cdef double[STACK_SCRATCH] stack
        cdef size_t needed = pepg_forward_work_size(self.n_layers, self.sizes, batch, n_threads)
        if n == 0 or needed == 0:
            _fail("inputs", "at least one, and no more than there can be memory for", f"shape {(<object>inputs).shape}")
        cdef cnp.ndarray y = cnp.PyArray_EMPTY(input_dims, shape, width, False)
        cdef void* allocated = NULL if needed <= STACK_SCRATCH else malloc(needed * sizeof(double))
        cdef void* work = stack if needed <= STACK_SCRATCH else allocated
        if work == NULL:
            raise MemoryError()
        with nogil:
            if width == cnp.NPY_DOUBLE:
                status = pepg_forward_population(
                    self.n_layers, self.sizes, self.bias, self.hidden, self.output, n, batch,
                    <double*>cnp.PyArray_DATA(solutions), weights_stride, <double*>cnp.PyArray_DATA(inputs),
                    member_stride, input_stride, <double*>cnp.PyArray_DATA(y), <double*>work, n_threads)
            else:
                status = pepg_forward_population_f32(
                    self.n_layers, self.sizes, self.bias, self.hidden, self.output, n, batch,
                    <float*>cnp.PyArray_DATA(solutions), weights_stride, <float*>cnp.PyArray_DATA(inputs),
                    member_stride, input_stride, <float*>cnp.PyArray_DATA(y), <float*>work, n_threads)
            free(allocated)
        _raise(status)
        return y


# Rows of `columns` numbers, each contiguous and aligned, whatever lies between them.
cdef inline int _check_rows(cnp.ndarray a, str name, int width, Py_ssize_t columns) except -1:
    cdef int last = cnp.PyArray_NDIM(a) - 1, axis
    cdef Py_ssize_t item = 8 if width == cnp.NPY_DOUBLE else 4
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


def activate(int activation, cnp.ndarray values not None):
    """Apply an activation to one vector, in place."""
    cdef int width = _width(values, "values"), status
    cdef Py_ssize_t n = cnp.PyArray_SIZE(values)
    cdef void* x = _data(values, "values", width, n, True)
    with nogil:
        if width == cnp.NPY_DOUBLE:
            status = pepg_activate(n, activation, <double*>x)
        else:
            status = pepg_activate_f32(n, activation, <float*>x)
    _raise(status)


# ---- native environments --------------------------------------------------------------------------------------


def capsule_pointer(capsule):
    """Address and name (or None) of a PyCapsule; None for any other object."""
    if not PyCapsule_CheckExact(capsule):
        return None
    cdef const char* name = PyCapsule_GetName(capsule)
    return <uintptr_t>PyCapsule_GetPointer(capsule, name), None if name == NULL else (<bytes>name).decode("ascii", "replace")


# Signals in the thread that called: an exception goes to the list `context`, which stops the simulation.
cdef int _interrupted(void* context) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as raised:
        (<list>context).append(raised)
        return 1
    return 0


@cython.final
cdef class Environment:
    """A native environment: addresses of `reset` and `step` and of their `data`. Whoever makes it keeps those alive."""

    cdef pepg_reset reset
    cdef pepg_step step
    cdef void* data
    cdef Py_ssize_t state_size, max_steps

    def __cinit__(self, uintptr_t reset, uintptr_t step, uintptr_t data, Py_ssize_t state_size, Py_ssize_t max_steps):
        self.reset, self.step, self.data = <pepg_reset>reset, <pepg_step>step, <void*>data
        self.state_size, self.max_steps = state_size, max_steps

    def simulate(self, Perceptron network not None, cnp.ndarray solutions not None, uint64_t seed,
                 cnp.ndarray returns not None, cnp.ndarray steps not None, int n_threads=0):
        """Write the returns (n, episodes) float64 and steps (n, episodes) int64 of `solutions` (n, parameters)."""
        cdef int width = _width(solutions, "solutions"), status
        if cnp.PyArray_NDIM(solutions) != 2:
            _fail("solutions", "two dimensions", cnp.PyArray_NDIM(solutions))
        if cnp.PyArray_NDIM(returns) != 2 or cnp.PyArray_DIM(returns, 0) != cnp.PyArray_DIM(solutions, 0):
            _fail("returns", "a row for each of the solutions", f"shape {(<object>returns).shape}")
        cdef Py_ssize_t n = cnp.PyArray_DIM(solutions, 0), episodes = cnp.PyArray_DIM(returns, 1)
        cdef void* weights = _data(solutions, "solutions", width, n * network.n_parameters, False)
        cdef double* to_returns = <double*>_data(returns, "returns", cnp.NPY_DOUBLE, n * episodes, True)
        cdef int64_t* to_steps = <int64_t*>_data(steps, "steps", cnp.NPY_INT64, n * episodes, True)
        cdef void* work = self._scratch(network, width, n_threads)
        cdef list raised = []
        cdef void* context = <void*>raised
        with nogil:
            if width == cnp.NPY_DOUBLE:
                status = pepg_simulate(
                    self.reset, self.step, self.data, self.state_size, self.max_steps, network.n_layers,
                    network.sizes, network.bias, network.hidden, network.output, n, <double*>weights,
                    network.n_parameters, episodes, seed, to_returns, to_steps, work, _interrupted, context, n_threads)
            else:
                status = pepg_simulate_f32(
                    self.reset, self.step, self.data, self.state_size, self.max_steps, network.n_layers,
                    network.sizes, network.bias, network.hidden, network.output, n, <float*>weights,
                    network.n_parameters, episodes, seed, to_returns, to_steps, work, _interrupted, context, n_threads)
            free(work)
        if raised:
            raise raised[0]
        _raise(status)

    def rollout(self, Perceptron network not None, cnp.ndarray solution not None, uint64_t seed,
                cnp.ndarray observations not None, cnp.ndarray actions not None, cnp.ndarray rewards not None):
        """Write one episode into `observations` (steps + 1, in), `actions` (steps, out) and `rewards` (steps,).

        All float64 but for the solution. The episode ends with the arrays, at the latest.
        """
        cdef int width = _width(solution, "solution")
        cdef Py_ssize_t n_steps = cnp.PyArray_SIZE(rewards), n_in = network.sizes[0]
        cdef Py_ssize_t n_out = network.sizes[network.n_layers]
        cdef void* weights = _data(solution, "solution", width, network.n_parameters, False)
        cdef double* o = <double*>_data(observations, "observations", cnp.NPY_DOUBLE, (n_steps + 1) * n_in, True)
        cdef double* a = <double*>_data(actions, "actions", cnp.NPY_DOUBLE, n_steps * n_out, True)
        cdef double* r = <double*>_data(rewards, "rewards", cnp.NPY_DOUBLE, n_steps, True)
        cdef int64_t n_rows = 0
        cdef int status
        cdef void* work = self._scratch(network, width, 1)
        cdef list raised = []
        cdef void* context = <void*>raised
        with nogil:
            if width == cnp.NPY_DOUBLE:
                status = pepg_rollout(
                    self.reset, self.step, self.data, self.state_size, n_steps, network.n_layers, network.sizes,
                    network.bias, network.hidden, network.output, <double*>weights, seed, o, a, r, &n_rows, work,
                    _interrupted, context)
            else:
                status = pepg_rollout_f32(
                    self.reset, self.step, self.data, self.state_size, n_steps, network.n_layers, network.sizes,
                    network.bias, network.hidden, network.output, <float*>weights, seed, o, a, r, &n_rows, work,
                    _interrupted, context)
            free(work)
        if raised:
            raise raised[0]
        _raise(status)
        return n_rows

    cdef void* _scratch(self, Perceptron network, int width, int n_threads) except NULL:
        cdef size_t needed
        if width == cnp.NPY_DOUBLE:
            needed = pepg_simulate_work_size(network.n_layers, network.sizes, self.state_size, n_threads)
        else:
            needed = pepg_simulate_f32_work_size(network.n_layers, network.sizes, self.state_size, n_threads)
        cdef void* work = malloc(needed) if needed else NULL
        if work == NULL:
            raise MemoryError(f"state_size: no memory for episodes of {self.state_size} numbers")
        return work
