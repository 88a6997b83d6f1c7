/* pepg_fast: kernels of Parameter-exploring Policy Gradients (PEPG) for ordinary CPUs. Include this
 * file; its parts are in the folder pepg_fast:
 *
 *   pepg_fast/base.h      statuses, the version of the ABI
 *   pepg_fast/sampling.h  noise and populations
 *   pepg_fast/update.h    rewards, gradients, steps of mu and sigma
 *   pepg_fast/networks.h  multilayer perceptrons and recurrent networks
 *   pepg_fast/low_rank.h  low-rank noise for networks of many weights
 *   pepg_fast/simulation.h  native environments that they act in
 *   pepg_fast/search.h    a whole search
 *
 * C11, usable from C++. These rules hold for every function:
 *
 * - Arrays. Matrices are row-major and contiguous. `n_pairs` mirrored pairs make a population of
 *   2 n_pairs; `dim` is the number of parameters. Sizes count elements. A function `pepg_x` works in
 *   float64, and `pepg_x_f32`, if there is one, in float32; weights that derive from rewards
 *   (delta, even) are float64 in both. Fitness: higher is better.
 * - Memory. The caller owns all of it, scratch included, and a function keeps no pointer after the
 *   call (a search keeps only its own memory). Inputs and outputs must not overlap unless stated.
 *   The size of scratch depends on the number of threads: ask for it with the call's own
 *   `n_threads`. If that is below 1, ask in the same process, with the same number of OpenMP
 *   threads.
 * - Errors. A call returns PEPG_OK or the reason of its failure. It checks before it writes, so a
 *   refused call has written nothing but scratch. The exception is PEPG_EINTERRUPTED, after which
 *   the outputs of a simulation are incomplete; a search is then as it was before the generation.
 * - Threads. `n_threads` < 1 means OpenMP's usual number. Small work stays on the calling thread, and
 *   so does everything in a forked child. Functions may be called from several threads at once, but
 *   not for the same output or the same search. Results have the same bits at any number of threads;
 *   except for networks and simulations, they also have the same bits on every instruction set.
 * - State of the process. Threads that have done large work are kept and wait for more. The
 *   instruction set is chosen when the library is loaded: the fastest that the CPU has, or the one
 *   that the environment variable PEPG_FAST_ISA names (baseline, avx2, avx512). Otherwise a result
 *   depends only on the arguments.
 *
 * A C or C++ program links the library that CMake builds and installs: find_package(pepg_fast) and
 * the target pepg_fast::pepg_fast (or pepg_fast::pepg_fast_static), or pkg-config. Compiled code
 * that runs inside Python links nothing. The Python package exports all functions except those of
 * search.h as capsules in the dict `pepg_fast.kernels.__pyx_capi__`, under the same names.
 * Cython finds them through `pepg_fast/kernels.pxd`, numba through `get_cython_function_address`; an
 * extension module in C or C++ fetches a pointer and takes its type from here:
 *
 *   static __typeof__(&pepg_normals) normals;
 *   ...
 *   PyObject *capsule = PyDict_GetItemString(capi, "pepg_normals");
 *   normals = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
 *
 * Changes: a function whose signature or meaning changes gets a new name, and the old one stays for
 * a major version. Fields may be added to structs that begin with their size.
 * PEPG_FAST_ABI_VERSION goes up when a function is removed or another struct grows.
 */
#ifndef PEPG_FAST_H
#define PEPG_FAST_H

#include "pepg_fast/base.h"
#include "pepg_fast/low_rank.h"
#include "pepg_fast/networks.h"
#include "pepg_fast/sampling.h"
#include "pepg_fast/search.h"
#include "pepg_fast/simulation.h"
#include "pepg_fast/update.h"

#endif
