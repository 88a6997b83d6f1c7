/* Decides whether a large array is written through the caches or past them. Which is faster depends on
 * the machine: stores past the caches save reading each line before it is overwritten, but on some
 * machines they cost more than that. So the calls themselves are timed. */
#ifndef PEPG_STORES_H
#define PEPG_STORES_H

/* Kinds of calls that are measured separately: width, whether noise is kept, whether there is a team. */
#define PEPG_STORE_KINDS 8

typedef struct {
    int kind, size; /* by which measurements are told apart */
    int stream;     /* whether to write past the caches */
    double bytes;
    double began; /* when, if the call is measured; else 0 */
} pepg_stores;

/* Decide how to write the next `bytes` (`stream`), and start the clock. */
pepg_stores pepg_stores_begin(int kind, double bytes);

/* Record that they have been written. */
void pepg_stores_end(const pepg_stores *stores);

/* For tests: whatever the size, past the caches (1) or through them (0); as measured (-1). */
void pepg_force_stores(int stream);

#endif
