/* What arguments can be, for functions of several files. */
#ifndef PEPG_CHECKS_H
#define PEPG_CHECKS_H

#include "pepg_fast.h"

#include <math.h>

static inline int is_draw_valid(const pepg_draw *draw) {
    return draw->n_pairs >= 1 && draw->dim >= 1 && draw->n_pairs <= PTRDIFF_MAX / 8 / draw->dim &&
           (uint64_t)draw->dim <= UINT64_C(1) << 34 &&
           (uint64_t)draw->n_pairs <= UINT64_C(1) << 32 &&
           draw->first_pair <= (UINT64_C(1) << 32) - (uint64_t)draw->n_pairs;
}

static inline int is_velocity_rule(int rule) { return rule >= PEPG_SGD && rule <= PEPG_CLIPUP; }

/* From 0 to below 1. */
static inline int is_share(double x) { return x >= 0.0 && x < 1.0; }

static inline int is_step_rule_valid(const pepg_step_rule *rule) {
    if (!isfinite(rule->alpha)) return 0;
    if (rule->kind == PEPG_ADAM)
        return is_share(rule->beta_1) && is_share(rule->beta_2) && isfinite(rule->epsilon);
    if (!is_velocity_rule(rule->kind) || !is_share(rule->momentum)) return 0;
    if (rule->kind == PEPG_CLIPUP && rule->max_speed == 0.0) return rule->alpha >= 0.0; /* 2 alpha */
    return rule->kind != PEPG_CLIPUP || rule->max_speed > 0.0;
}

/* Where there are limits, their numbers are the caller's affair. */
static inline int is_sigma_rule_valid(const pepg_sigma_rule *rule) {
    if (!isfinite(rule->learning_rate)) return 0;
    if (rule->limits) return rule->stride >= 1;
    return rule->max_change > 0.0 && rule->minimum > 0.0 && rule->minimum <= rule->maximum;
}

static inline int are_rules_valid(const pepg_step_rule *step_rule, double l2,
                                  const pepg_sigma_rule *sigma_rule) {
    return is_step_rule_valid(step_rule) && isfinite(l2) && is_sigma_rule_valid(sigma_rule);
}

#endif
