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

/* Sizes from this one on (64 MB) exceed most caches. */
#define LARGE 3

/* A way is used for this many calls in a row, of which the fastest counts: a cache takes some ten calls to
 * fill after stores past it. After each such window the faster way is used, and in one of so many windows
 * the other one, because other work on the machine changes. */
#define WINDOW 16u
#define LARGE_WINDOW 4u /* of sizes that no cache keeps */
#define WINDOWS 128

/* Stores past the caches must be faster by this factor, because reading the array then costs more. */
#define GAIN 0.9

/* Number of calls, the way of this window, and the fastest call of this window and of each way's last
 * window, in femtoseconds per byte; 0 if there is none. If two threads measure at once, a window may be
 * lost. */
typedef struct {
    atomic_uint calls;
    atomic_int stream;
    _Atomic uint64_t fastest, last[2];
} measured;

static measured all_measured[PEPG_STORE_KINDS][SIZES];

/* The way of the next window; at first both, the likely one before the other. */
static int choose(measured *own, unsigned window, int is_large) {
    const uint64_t fastest = atomic_exchange(&own->fastest, 0);
    if (fastest) atomic_store(own->last + atomic_load(&own->stream), fastest);
    const uint64_t cached = atomic_load(own->last), streamed = atomic_load(own->last + 1);
    if (!cached || !streamed) return streamed ? 0 : cached ? 1 : is_large;
    const int is_better = (double)streamed < GAIN * (double)cached;
    return window % WINDOWS ? is_better : !is_better;
}

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
    measured *const own = &all_measured[kind][stores.size];
    const unsigned call = atomic_fetch_add(&own->calls, 1);
    const unsigned window = stores.size >= LARGE ? LARGE_WINDOW : WINDOW;
    if (call % window == 0)
        atomic_store(&own->stream, choose(own, call / window, stores.size >= LARGE));
    stores.stream = atomic_load(&own->stream);
    stores.began = seconds_now();
    return stores;
}

void pepg_stores_end(const pepg_stores *stores) {
    if (stores->began == 0.0) return;
    measured *const own = &all_measured[stores->kind][stores->size];
    const double seconds = seconds_now() - stores->began;
    if (seconds <= 0) return; /* the clock was set */
    const uint64_t took = 1 + (uint64_t)(1e15 * seconds / stores->bytes);
    const uint64_t before = atomic_load(&own->fastest);
    if (!before || took < before) atomic_store(&own->fastest, took);
}
