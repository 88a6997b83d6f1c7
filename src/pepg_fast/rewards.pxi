# Reading of rewards and other numbers from the caller, without a temporary.


def read_rewards(rewards, cnp.ndarray out not None, bint maximize=True):
    """Copy a list or float64 vector of numbers into `out` (n,) float64, and return the index of the best.

    If not `maximize`, `out` gets the negatives. Returns -2 - i if reward i is the first NaN, and -1, with `out`
    undefined, for any other type, which the caller converts or refuses. No temporary is made.
    """
    return _read_rewards(rewards, out, maximize)


cdef Py_ssize_t _read_rewards(rewards, cnp.ndarray out, bint maximize) except? -1:
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out), i, best = 0
    cdef double* x = <double*>_data(out, "out", cnp.NPY_DOUBLE, n, True)
    cdef double top
    if n < 1:
        _fail("out", "at least one element", "none")
    if type(rewards) is list:
        if not _numbers_of_list(<list>rewards, n, x):
            return -1
    elif _is_float64_vector(rewards, n):
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


# The type of items in a list made from an array; comparing it avoids a search through the base classes of each item.
cdef PyTypeObject* FLOAT64 = <PyTypeObject*>np.float64


# Copy the n numbers of a list to x; False if its length is not n, or an item is neither a float nor an int.
cdef inline bint _numbers_of_list(list values, Py_ssize_t n, double* x) except -1:
    cdef Py_ssize_t i
    cdef PyObject* item
    if len(values) != n:
        return False
    for i in range(n):
        item = PyList_GET_ITEM(values, i)
        if Py_TYPE(item) == FLOAT64 or PyFloat_Check(<object>item):
            x[i] = PyFloat_AS_DOUBLE(<object>item)
        elif PyLong_Check(<object>item):
            x[i] = PyLong_AsDouble(<object>item)
        else:
            return False
    return True
