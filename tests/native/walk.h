/* The environments of walk.c. */
#ifndef WALK_H
#define WALK_H

#include <stdint.h>

void walk_reset(double *state, double *observation, uint64_t seed, void *data);
int walk_step(double *state, const double *action, double *observation, double *reward, void *data);

typedef struct {
    double options[2];     /* data of walk_step */
    int64_t contexts_left; /* number of contexts that can be made */
    int64_t bad_seeds;     /* seeds that are multiples of it have a reset that fails; 0: none */
    int64_t made, freed;   /* contexts */
    int64_t begun, ended;  /* episodes */
    int64_t overlaps;      /* episodes that began in a context which had one */
} heap_counts;

void *heap_make_context(void *data);
void heap_free_context(void *context);
void heap_reset(double *state, double *observation, uint64_t seed, void *context);
int heap_step(
        double *state, const double *action, double *observation, double *reward, void *context);
void heap_end(double *state, void *context);
void pointing_reset(double *state, double *observation, uint64_t seed, void *data);
int pointing_step(
        double *state, const double *action, double *observation, double *reward, void *data);
void pointing_end(double *state, void *data);

#endif
