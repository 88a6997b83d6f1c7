#include "finite.h"
#include "dispatch.h"
#include "parallel.h"

#include <stdatomic.h>

/* Approximate nanoseconds per number, and numbers per task. */
#define LOOK_COST 0.15
#define LOOK_TASK 32768

#define EACH_WIDTH "finite_real.inc"
#include "width.h"
