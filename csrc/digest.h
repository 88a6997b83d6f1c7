/* A digest of bytes, which shows whether two processes have the same data. Not public: only
 * pepg_fast.distributed uses it.
 *
 * The bytes, with zeros behind them, are rows of PEPG_DIGEST_LANES 64-bit words; PEPG_DIGEST_ROWS
 * rows are a leaf. Within a leaf each lane is a chain: its words are mixed, one after the other,
 * into a state of 64 bits by rounds of Philox2x32 (Salmon et al. 2011, see rng.h). The states of a
 * leaf go through Philox4x32-10 keyed with the number of the leaf, and the results are added over
 * all leaves, modulo 2^32 in each of four words, starting from Philox of the number of bytes.
 *
 * All steps except the sums are bijections, so a change of a single word always changes the digest.
 * Other changes within one chain of one leaf are missed about once in 2^64, all others about once in
 * 2^128. The order of the data matters everywhere, while threads may add leaves in any order. Words
 * are read as the machine stores them, so machines of different endianness do not agree. This is not
 * cryptographic: it is easy to construct two inputs with one digest.
 */
#ifndef PEPG_DIGEST_H
#define PEPG_DIGEST_H

#include "pepg_fast.h"

/* digest[4] of `size` bytes, 0 or more. */
pepg_status pepg_digest(ptrdiff_t size, const void *data, uint32_t *digest, int n_threads);

#endif
