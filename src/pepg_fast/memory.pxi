# Memory that is used again.


@cython.final
@cython.auto_pickle(False)
cdef class RecycledArray:
    """One array that is handed out again and again, but never while somebody still holds it or a view of it.

    Fresh memory costs several times more than filling memory that was used before.
    """

    cdef cnp.ndarray array
    cdef bint is_own  # made here; memory that was put may be a view of somebody's

    def empty(self, Py_ssize_t rows, Py_ssize_t columns, dtype):
        """An uninitialised array (rows, columns): the last one again if nobody but this object holds it."""
        return self.again(rows, columns, cnp.NPY_DOUBLE if dtype.itemsize == 8 else cnp.NPY_FLOAT)

    cdef cnp.ndarray again(self, Py_ssize_t rows, Py_ssize_t columns, int width):
        cdef cnp.npy_intp[2] shape
        if (self.is_own and Py_REFCNT(<PyObject*>self.array) == 1 and cnp.PyArray_NDIM(self.array) == 2
                and cnp.PyArray_DIM(self.array, 0) == rows and cnp.PyArray_DIM(self.array, 1) == columns
                and cnp.PyArray_TYPE(self.array) == width and cnp.PyArray_ISCARRAY(self.array)):
            return self.array
        shape[0], shape[1] = rows, columns
        self.array, self.is_own = cnp.PyArray_EMPTY(2, shape, width, False), True  # the old one stays if this fails
        return self.array

    def get(self):
        """The array last handed out or put, or None."""
        return self.array

    def put(self, cnp.ndarray array):
        """Hold another array, which is never handed out again; of a subclass' one, a view that is none."""
        self.hold(None if array is None else np.asarray(array))

    cdef void hold(self, cnp.ndarray plain) noexcept:
        """The same of one that is of no subclass."""
        self.array, self.is_own = plain, False


cdef inline void* _scratch(size_t bytes, str name) except NULL:
    cdef void* memory = malloc(bytes if bytes else 1)
    if memory == NULL:
        raise MemoryError(f"{name}: no memory for {bytes} bytes of scratch")
    return memory
