#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

extern const pepg_kernels pepg_kernels_baseline;
#ifdef PEPG_BUILD_X86_UNITS
extern const pepg_kernels pepg_kernels_avx2, pepg_kernels_avx512;
#endif

const pepg_kernels *pepg_active = &pepg_kernels_baseline;

/* Slowest first. A unit is usable when the CPU and the operating system have every feature of its
 * compiler flags. */
static const pepg_kernels *const units[] = {
        &pepg_kernels_baseline,
#ifdef PEPG_BUILD_X86_UNITS
        &pepg_kernels_avx2,
        &pepg_kernels_avx512,
#endif
};
enum { N_UNITS = sizeof units / sizeof *units };

static int is_usable(int i) {
#ifdef PEPG_BUILD_X86_UNITS
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (units[i] == &pepg_kernels_avx2) return avx2;
    if (units[i] == &pepg_kernels_avx512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return i == 0;
}

const char *pepg_isa_built(int i) { return i >= 0 && i < N_UNITS ? units[i]->name : NULL; }

const char *pepg_isa_usable(int i) {
    for (int unit = 0; unit < N_UNITS; ++unit)
        if (is_usable(unit) && i-- == 0) return units[unit]->name;
    return NULL;
}

int pepg_select_isa(const char *name) {
    for (int unit = N_UNITS - 1; unit >= 0; --unit)
        if (is_usable(unit) && (!name || strcmp(name, units[unit]->name) == 0)) {
            pepg_active = units[unit];
            return 0;
        }
    return -1;
}

/* Before main(), so that no call has to check whether the choice has been made. */
__attribute__((constructor)) static void choose_isa(void) {
#ifdef PEPG_BUILD_X86_UNITS
    __builtin_cpu_init();
#endif
    if (pepg_select_isa(getenv("PEPG_FAST_ISA")) != 0) pepg_select_isa(NULL);
}
