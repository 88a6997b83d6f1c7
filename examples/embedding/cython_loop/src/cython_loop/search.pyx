# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True
"""Fit a small network to a curve with PEPG; between two looks for Ctrl-C no Python runs.

What the kernels do, their shapes and their errors: pepg_fast.h, in pepg_fast.get_include().
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY
from libc.stdint cimport uint64_t
from pepg_fast.kernels cimport (
    PEPG_ADAM,
    PEPG_ENAN,
    PEPG_FAST_ABI_VERSION,
    PEPG_IDENTITY,
    PEPG_OK,
    PEPG_TANH,
    pepg_abi_version,
    pepg_antithetic,
    pepg_centered_ranks,
    pepg_centered_ranks_work_size,
    pepg_draw,
    pepg_forward_population,
    pepg_forward_work_size,
    pepg_network,
    pepg_network_parameters,
    pepg_sample,
    pepg_sigma_rule,
    pepg_step_rule,
    pepg_update,
)

import numpy as np

# The constant is that of the kernels.pxd this was compiled with, the function that of the kernels
# that run: after an upgrade they may differ.
if pepg_abi_version() != PEPG_FAST_ABI_VERSION:
    raise ImportError(f'cython_loop was built for version {PEPG_FAST_ABI_VERSION} of the kernels '
                      f'of pepg_fast and found {pepg_abi_version()}: build it again')

cdef enum:
    GENERATIONS_A_LOOK = 256  # between two looks for Ctrl-C, some milliseconds

cdef double MU_LR = 0.05, BETA_1 = 0.9, BETA_2 = 0.999, ADAM_EPSILON = 1e-8, L2 = 0.0
cdef double SIGMA = 0.3, SIGMA_LR = 0.2, SIGMA_MAX_CHANGE = 0.2
cdef double SIGMA_MIN = 1e-6, SIGMA_MAX = INFINITY


cdef double fitness(Py_ssize_t n, const double* y, const double* wanted) noexcept nogil:
    """The objective, higher is better: minus the mean squared error of n outputs."""
    cdef double total = 0.0, error
    cdef Py_ssize_t i
    for i in range(n):
        error = y[i] - wanted[i]
        total += error * error
    return -total / n


cdef class Search:
    """State and scratch memory of one search: all of it is allocated here, once."""

    cdef pepg_draw draw
    cdef pepg_step_rule adam
    cdef pepg_sigma_rule sigma_rule
    cdef pepg_network network
    cdef Py_ssize_t n_pairs, dim, n_points
    cdef Py_ssize_t[3] sizes
    cdef int n_threads
    cdef double[::1] x, wanted
    cdef readonly double[::1] mu
    cdef double[::1] sigma, m, v
    cdef float[::1] noise
    cdef double[::1] theta, y, rewards, delta, even
    cdef double[::1] forward_work
    cdef unsigned char[::1] rank_work

    def __init__(self, x, wanted, hidden, n_pairs, key, n_threads):
        self.x, self.wanted = np.array(x, np.float64), np.array(wanted, np.float64)
        self.n_pairs, self.n_points, self.n_threads = n_pairs, len(self.x), n_threads
        if len(self.wanted) != self.n_points or self.n_points < 1:
            raise ValueError(f'y: wanted a value for each of at least one x, '
                             f'got {len(self.wanted)} for {self.n_points}')
        self.sizes[0], self.sizes[1], self.sizes[2] = 1, hidden, 1
        self.network = pepg_network(n_layers=2, bias=True, hidden=PEPG_TANH, output=PEPG_IDENTITY,
                                    sizes=&self.sizes[0])
        self.dim = pepg_network_parameters(&self.network)
        if self.dim == 0:
            raise ValueError(f'hidden: wanted at least 1, got {hidden}')
        self.mu, self.sigma = np.zeros(self.dim), np.full(self.dim, SIGMA)
        self.m, self.v = np.zeros(self.dim), np.zeros(self.dim)
        self.noise = np.empty(n_pairs * self.dim, np.float32)
        self.theta = np.empty(2 * n_pairs * self.dim)
        self.y = np.empty(2 * n_pairs * self.n_points)
        self.rewards = np.empty(2 * n_pairs)
        self.delta, self.even = np.empty(n_pairs), np.empty(n_pairs)
        # Scratch is for as many threads as the call may use: ask with the same number.
        self.forward_work = np.empty(
            pepg_forward_work_size(&self.network, self.n_points, n_threads))
        self.rank_work = np.empty(pepg_centered_ranks_work_size(2 * n_pairs), np.uint8)
        self.draw = pepg_draw(n_pairs=n_pairs, dim=self.dim, key=key, generation=0, first_pair=0,
                              noise=&self.noise[0], epsilon=NULL)
        self.adam = pepg_step_rule(
            kind=PEPG_ADAM, eps_hat=True, alpha=MU_LR, beta_1=BETA_1, beta_2=BETA_2,
            epsilon=ADAM_EPSILON, momentum=0.0, max_speed=0.0, t=0, m=&self.m[0], v=&self.v[0],
            velocity=NULL)
        self.sigma_rule = pepg_sigma_rule(
            learning_rate=SIGMA_LR, max_change=SIGMA_MAX_CHANGE, minimum=SIGMA_MIN,
            maximum=SIGMA_MAX, limits=NULL, stride=0)

    cdef int step(self, double* best) noexcept nogil:
        """One generation and its best fitness; PEPG_OK, or what a kernel refused with."""
        cdef Py_ssize_t n = 2 * self.n_pairs, i
        cdef int status
        status = pepg_sample(
            self.n_pairs, self.dim, self.draw.key, self.draw.generation, 0, &self.mu[0],
            &self.sigma[0], &self.noise[0], &self.theta[0], &self.theta[self.n_pairs * self.dim],
            self.n_threads)
        if status != PEPG_OK:
            return status
        # All members see the same x: no stride from one member's inputs to the next one's.
        status = pepg_forward_population(
            &self.network, n, self.n_points, &self.theta[0], self.dim, &self.x[0], 0, 1,
            &self.y[0], &self.forward_work[0], self.n_threads)
        if status != PEPG_OK:
            return status
        best[0] = -INFINITY
        for i in range(n):
            self.rewards[i] = fitness(self.n_points, &self.y[i * self.n_points], &self.wanted[0])
            best[0] = max(best[0], self.rewards[i])
        status = pepg_centered_ranks(n, &self.rewards[0], &self.rewards[0], &self.rank_work[0])
        if status != PEPG_OK:
            return status
        status = pepg_antithetic(self.n_pairs, &self.rewards[0], &self.delta[0], &self.even[0])
        if status != PEPG_OK:
            return status
        status = pepg_update(
            &self.draw, &self.delta[0], &self.even[0], &self.sigma[0], &self.adam, L2,
            &self.sigma_rule, &self.mu[0], &self.sigma[0], NULL, NULL, self.n_threads)
        self.draw.generation += 1
        return status

    cdef int run(self, Py_ssize_t generations, double* history) noexcept nogil:
        """Some generations, or as many as succeed."""
        cdef Py_ssize_t i
        cdef int status
        for i in range(generations):
            status = self.step(history + i)
            if status != PEPG_OK:
                return status
        return PEPG_OK


cdef int check(int status) except -1:
    """Raise what a status means; the kernels themselves never raise."""
    if status == PEPG_ENAN:
        raise ValueError('fitness: wanted numbers, got NaN')
    if status != PEPG_OK:
        raise ValueError(f'pepg_fast refused the sizes of the search (status {status})')
    return 0


def fit(x, y, *, hidden=8, pairs=32, generations=2000, uint64_t seed=0, int n_threads=1):
    """Search for the weights of a 1-hidden-1 tanh network whose outputs for x are y.

    Parameters
    ----------
    x, y : array_like of float, shape (points,)
    hidden, pairs, generations : int
        Width of the hidden layer, half the population, number of updates.
    seed : int
        From 0 to 2**64 - 1. The same seed gives the same bits at any number of threads; another
        kind of CPU rounds the networks' outputs otherwise.
    n_threads : int
        For large work; a search as small as the default one stays on the calling thread.

    Returns
    -------
    mu : ndarray, shape (parameters,)
        Weights, as `pepg_fast.NeuralNetwork` has them.
    history : ndarray, shape (generations,)
        The best fitness of each generation: minus the mean squared error.
    """
    cdef Search search = Search(x, y, hidden, pairs, seed, n_threads)
    best = np.empty(generations)
    cdef double[::1] history = best
    cdef Py_ssize_t done = 0, count
    cdef int status
    while done < len(history):
        count = min(GENERATIONS_A_LOOK, len(history) - done)
        with nogil:
            status = search.run(count, &history[done])
        check(status)
        done += count
        PyErr_CheckSignals()
    return np.asarray(search.mu), best
