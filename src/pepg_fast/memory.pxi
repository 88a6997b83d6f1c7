# Memory that is reused.


@cython.final
@cython.auto_pickle(False)
cdef class RecycledArray:
    """One array that is handed out repeatedly, but never while something still refers to it or to a view of it.

    Fresh memory costs several times more than filling memory that was used before.
    """

    cdef cnp.ndarray array
    cdef bint is_own  # whether the array was made here; a user's array is never handed out

    def empty(self, Py_ssize_t rows, Py_ssize_t columns, dtype):
        """Return an uninitialized array (rows, columns): the last one if only this object refers to it."""
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
        """Return the array that was last handed out or put, or None."""
        return self.array

    def put(self, cnp.ndarray array):
        """Keep another array, which is never handed out; for a subclass, a view as a plain array."""
        self.hold(None if array is None else np.asarray(array))

    cdef void hold(self, cnp.ndarray plain) noexcept:
        """Do the same with an array that is not of a subclass."""
        self.array, self.is_own = plain, False


cdef inline void* _scratch(size_t bytes, str name) except NULL:
    cdef void* memory = malloc(bytes if bytes else 1)
    if memory == NULL:
        raise MemoryError(f"{name}: no memory for {bytes} bytes of scratch")
    return memory
