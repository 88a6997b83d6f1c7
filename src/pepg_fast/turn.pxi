# Turns among threads.


@cython.final
@cython.auto_pickle(False)
cdef class Turn:
    """A turn among threads: a lock that its holder may take again, in about 20 ns if no thread waits."""

    cdef object __weakref__
    cdef PyThread_type_lock lock
    cdef unsigned long holder  # 0 if there is none
    cdef int depth  # how many times the holder has taken it

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef inline bint is_mine(self):
        return self.holder == PyThread_get_thread_ident()

    def __enter__(self):
        cdef int is_taken
        if self.is_mine():
            self.depth += 1
            return
        is_taken = PyThread_acquire_lock(self.lock, 0)
        while not is_taken:
            with nogil:
                is_taken = PyThread_acquire_lock_timed(self.lock, 50000, 0)
            if not is_taken:
                PyErr_CheckSignals()
        self.begin()

    def __exit__(self, *raised):
        if not self.is_mine():
            raise RuntimeError("Turn: wanted the thread that holds it")
        self.depth -= 1
        if self.depth == 0:
            self.give()

    cdef inline void begin(self):
        self.depth = 1
        self.holder = PyThread_get_thread_ident()

    cdef bint try_take(self):
        """Take a turn that no thread has, not even the caller's."""
        if not PyThread_acquire_lock(self.lock, 0):
            return False
        self.begin()
        return True

    cdef void give(self):
        self.holder = 0
        PyThread_release_lock(self.lock)

    def let_go(self):
        """In a forked child, take the turn from a thread that does not exist there."""
        if self.is_mine():
            return
        # A thread that waited for the GIL may have had the lock without being its holder yet.
        if PyThread_acquire_lock(self.lock, 0):
            PyThread_release_lock(self.lock)
        else:
            self.lock = PyThread_allocate_lock()  # who frees the old one cannot be known
        self.holder = 0
