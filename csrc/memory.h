/* Buffers in memory of the caller's. */
#ifndef PEPG_MEMORY_H
#define PEPG_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that no two workers share, and to which every buffer is aligned. */
#define ALIGNMENT 128

static inline size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The first aligned byte of what a caller gave, ALIGNMENT bytes more than are used. */
static inline char *first_aligned(void *memory) {
    return (char *)memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
}

#endif
