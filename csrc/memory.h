/* Buffers in the caller's memory. */
#ifndef PEPG_MEMORY_H
#define PEPG_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Alignment of every buffer, in bytes, which also keeps workers from sharing cache lines. */
#define ALIGNMENT 128

static inline size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The first aligned byte of a caller's memory, which has ALIGNMENT bytes more than are used. */
static inline char *first_aligned(void *memory) {
    return (char *)memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
}

#endif
