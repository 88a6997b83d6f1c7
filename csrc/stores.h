/* Whether a large array is written through the caches or past them. Which of the two is faster is the
 * machine's affair: stores past the caches save reading each line before it is overwritten, and on
 * some machines cost more than that. So it is measured, on the calls themselves. */
#ifndef PEPG_STORES_H
#define PEPG_STORES_H

/* Kinds of calls that are measured apart: width, whether noise is kept, whether there is a team. */
#define PEPG_STORE_KINDS 8

typedef struct {
    int kind, size; /* by which measurements are told apart */
    int stream;     /* whether to write past the caches */
    double bytes;
    double began; /* when, if the call is measured; else 0 */
} pepg_stores;

/* How the next `bytes` are to be written (`stream`), and the clock. */
pepg_stores pepg_stores_begin(int kind, double bytes);

/* They have been written. */
void pepg_stores_end(const pepg_stores *stores);

/* For tests: whatever the size, past the caches (1) or through them (0); as measured (-1). */
void pepg_force_stores(int stream);

#endif
