/* Statistics of an episode's observations, with the bits of training/normalization.py. */
#ifndef PEPG_MOMENTS_H
#define PEPG_MOMENTS_H

#include <stddef.h>

/* Observations that are collected before they are added: 128 KiB, or more if they are long. */
static inline ptrdiff_t block_rows(ptrdiff_t size) {
    const ptrdiff_t rows = 16384 / size;
    return rows > 256 ? 256 : rows > 1 ? rows : 1;
}

/* Merge n more observations, block (n, size), into the mean of `count` of them and their sum of
 * squared deviations, moments (2, size). Overwrites `work`, (2, size), and maybe `block`. */
void pepg_add_moments(
        ptrdiff_t n, ptrdiff_t size, double *block, double count, double *moments, double *work);

#endif
