/* What all parts of pepg_fast.h share: statuses, the version of the ABI. */
#ifndef PEPG_FAST_BASE_H
#define PEPG_FAST_BASE_H

#include <stddef.h>
#include <stdint.h>

#define PEPG_FAST_ABI_VERSION 1

/* Set by the library's own build, and on Windows by users of the DLL. */
#if defined(_WIN32) && defined(PEPG_FAST_BUILDS_SHARED)
#define PEPG_API __declspec(dllexport)
#elif defined(_WIN32) && defined(PEPG_FAST_USES_SHARED)
#define PEPG_API __declspec(dllimport)
#elif defined(PEPG_FAST_BUILDS_SHARED)
#define PEPG_API __attribute__((visibility("default")))
#else
#define PEPG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    PEPG_OK = 0,
    PEPG_EINVAL = 1,       /* a number is out of range or a pointer is missing */
    PEPG_ENAN = 2,         /* a reward is not a number */
    PEPG_EINTERRUPTED = 3, /* the caller's `interrupted` said so; outputs are incomplete */
    PEPG_ESTATE = 4,       /* not now: no population waits for rewards */
    PEPG_ECONTEXT = 5      /* an environment's context could not be made */
} pepg_status;

/* Asked on the calling thread, some 20 times a second, whether to stop: 0 to go on. */
typedef int pepg_interrupted(void *context);

/* PEPG_FAST_ABI_VERSION of the library that runs, to compare with the header compiled against. */
PEPG_API int pepg_abi_version(void);

#ifdef __cplusplus
}
#endif

#endif
