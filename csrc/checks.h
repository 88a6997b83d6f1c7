/* Checks of arguments that several files need. */
#ifndef PEPG_CHECKS_H
#define PEPG_CHECKS_H

#include "pepg_fast.h"

#include <math.h>

/* More bytes than any version will have: a larger size was not set, and nothing is read after it. */
#define MOST_OPTIONS 4096

/* Whether a struct that begins with its size has the fields of this version. A caller of a newer one
 * may have more, as long as they are 0. */
static inline int is_readable(const void *given, size_t known) {
    if (!given) return 0;
    const size_t size = *(const size_t *)given;
    if (size < known || size > MOST_OPTIONS) return 0;
    for (size_t i = known; i < size; ++i)
        if (((const char *)given)[i]) return 0;
    return 1;
}

/* Each of these returns the name of the first field that is out of range, or NULL. */

static inline const char *fault_of_draw(const pepg_draw *draw) {
    const uint64_t most_pairs = UINT64_C(1) << 32, most_columns = UINT64_C(1) << 34;
    if (draw->n_pairs < 1 || (uint64_t)draw->n_pairs > most_pairs) return "n_pairs";
    if (draw->dim < 1 || (uint64_t)draw->dim > most_columns) return "dim";
    if (draw->n_pairs > PTRDIFF_MAX / 8 / draw->dim) return "dim";
    return draw->first_pair > most_pairs - (uint64_t)draw->n_pairs ? "first_pair" : NULL;
}

static inline int is_velocity_rule(int rule) { return rule >= PEPG_SGD && rule <= PEPG_CLIPUP; }

/* From 0 to below 1. */
static inline int is_share(double x) { return x >= 0.0 && x < 1.0; }

static inline const char *fault_of_step_rule(const pepg_step_rule *rule) {
    if (!isfinite(rule->alpha)) return "alpha";
    if (rule->kind == PEPG_ADAM) {
        if (!is_share(rule->beta_1)) return "beta_1";
        if (!is_share(rule->beta_2)) return "beta_2";
        if (rule->t == UINT64_MAX) return "t";
        return isfinite(rule->epsilon) ? NULL : "epsilon";
    }
    if (!is_velocity_rule(rule->kind)) return "kind";
    if (!is_share(rule->momentum)) return "momentum";
    if (rule->kind != PEPG_CLIPUP) return NULL;
    if (rule->max_speed == 0.0) return rule->alpha >= 0.0 ? NULL : "alpha"; /* 2 alpha */
    return rule->max_speed > 0.0 ? NULL : "max_speed";
}

/* If there are limits, the caller is responsible for their numbers. */
static inline const char *fault_of_sigma_rule(const pepg_sigma_rule *rule) {
    if (!isfinite(rule->learning_rate)) return "learning_rate";
    if (rule->limits) return rule->stride >= 1 ? NULL : "stride";
    if (!(rule->max_change > 0.0)) return "max_change";
    if (!(rule->minimum > 0.0)) return "minimum";
    return rule->minimum <= rule->maximum ? NULL : "maximum";
}

static inline int is_draw_valid(const pepg_draw *draw) { return draw && !fault_of_draw(draw); }

static inline int are_rules_valid(
        const pepg_step_rule *step_rule, double l2, const pepg_sigma_rule *sigma_rule) {
    return !fault_of_step_rule(step_rule) && isfinite(l2) && !fault_of_sigma_rule(sigma_rule);
}

#endif
