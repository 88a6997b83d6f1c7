/* A digest of bytes, to tell whether two processes have the same. Not public: it is
 * pepg_fast.distributed's.
 *
 * The bytes, with zeros behind them, are rows of PEPG_DIGEST_LANES 64-bit words; PEPG_DIGEST_ROWS
 * rows are a leaf. Within a leaf each lane is a chain: its words are mixed, one after the other,
 * into a state of 64 bits by rounds of Philox2x32 (Salmon et al. 2011, see rng.h). The states of a
 * leaf go through Philox4x32-10 keyed with the number of the leaf, and what comes out is added up
 * over all leaves, modulo 2^32 in each of four words, starting from Philox of the number of bytes.
 *
 * All steps but the sums are bijections, so a change of a single word is always noticed. Of other
 * changes, those within one chain of one leaf are missed about once in 2^64, the rest once in
 * 2^128. The order of the data counts everywhere, while threads may add up leaves in any order.
 * Words are read as the machine stores them, so machines of different endianness do not agree. Not
 * for cryptography: whoever wants to can make two inputs with one digest.
 */
#ifndef PEPG_DIGEST_H
#define PEPG_DIGEST_H

#include "pepg_fast.h"

/* digest[4] of `size` bytes, 0 or more. */
pepg_status pepg_digest(ptrdiff_t size, const void *data, uint32_t *digest, int n_threads);

#endif
