/* Shared by all parts of pepg_fast.h: statuses, and the version of the ABI. */
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
    PEPG_EINVAL = 1,       /* a number is out of range, or a pointer is missing */
    PEPG_ENAN = 2,         /* a reward is NaN */
    PEPG_EINTERRUPTED = 3, /* the caller's `interrupted` stopped the call; outputs are incomplete */
    PEPG_ESTATE = 4,       /* no population waits for rewards */
    PEPG_ECONTEXT = 5      /* an environment's context could not be made */
} pepg_status;

/* Called on the calling thread about 20 times a second; returns 0 to continue, else the call stops. */
typedef int pepg_interrupted(void *context);

/* PEPG_FAST_ABI_VERSION of the loaded library, to compare with that of the header. */
PEPG_API int pepg_abi_version(void);

#ifdef __cplusplus
}
#endif

#endif
