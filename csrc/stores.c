#include "stores.h"

#include "poll.h"
#include "strict.h"

#include <stdatomic.h>
#include <stdint.h>

/* Arrays of less than LEAST bytes are still in a cache when they are read: writing them past the cache
 * is faster, but reading them takes longer, which costs more in total (bench/README.md). Larger sizes
 * are measured separately for each power of two. */
#define LEAST 8e6
#define SIZES 24

/* Number of trials of each way, in turns, and the number of calls after which they are repeated,
 * because other work on the machine changes. */
#define TRIALS 4
#define CALLS 1000

/* Stores past the caches must be faster by this factor, because reading the array then costs more. */
#define GAIN 0.9

/* Number of calls, and the fastest time of each way in the last trials, in femtoseconds per byte; 0 if
 * there is none. If two threads measure at once, at most one trial is lost. */
typedef struct {
    atomic_uint calls;
    _Atomic uint64_t fastest[2];
} trials;

static trials all_trials[PEPG_STORE_KINDS][SIZES];

static atomic_int forced_stream = -1;

void pepg_force_stores(int stream) { atomic_store(&forced_stream, stream); }

pepg_stores pepg_stores_begin(int kind, double bytes) {
    pepg_stores stores = {kind, 0, 0, bytes, 0.0};
    const int forced = atomic_load(&forced_stream);
    if (forced >= 0) {
        stores.stream = forced;
        return stores;
    }
    if (bytes < LEAST) return stores;
    while (stores.size < SIZES - 1 && bytes >= 2 * LEAST) {
        bytes /= 2;
        ++stores.size;
    }
    trials *const own = &all_trials[kind][stores.size];
    const unsigned call = atomic_fetch_add(&own->calls, 1) % CALLS;
    const uint64_t cached = atomic_load(own->fastest), streamed = atomic_load(own->fastest + 1);
    if (call >= 2 * TRIALS) {
        stores.stream = streamed && cached && (double)streamed < GAIN * (double)cached;
        return stores;
    }
    stores.stream = (int)(call % 2);
    if (call < 2) atomic_store(own->fastest + stores.stream, 0);
    stores.began = seconds_now();
    return stores;
}

void pepg_stores_end(const pepg_stores *stores) {
    if (stores->began == 0.0) return;
    _Atomic uint64_t *const fastest =
            all_trials[stores->kind][stores->size].fastest + stores->stream;
    const double seconds = seconds_now() - stores->began;
    if (seconds <= 0) return; /* the clock was set */
    const uint64_t took = 1 + (uint64_t)(1e15 * seconds / stores->bytes);
    const uint64_t before = atomic_load(fastest);
    if (!before || took < before) atomic_store(fastest, took);
}
