/* Parts of a step that a whole update also needs. */
#ifndef PEPG_STEP_H
#define PEPG_STEP_H

#include "pepg_fast.h"

/* b^t by squaring: the same bits on every machine, unlike pow(). */
double pepg_power(double b, uint64_t t);

/* alpha sqrt(1 - beta_2^t) / (1 - beta_1^t) */
double pepg_adam_step_size(double alpha, double beta_1, double beta_2, uint64_t t);

/* One step of a rule with a velocity, which it changes: step = or, if it `is_added`, step +=. The
 * rule's numbers are taken as they are. `sums` has a double for each block of columns. */
void pepg_move_with_velocity(ptrdiff_t n, const double *gradient, const pepg_step_rule *rule,
        double *step, int is_added, double *sums, int n_threads);
void pepg_move_with_velocity_f32(ptrdiff_t n, const float *gradient, const pepg_step_rule *rule,
        float *step, int is_added, double *sums, int n_threads);

#endif
