/* OpenMP's own threads, and which calls use them instead of our workers.
 *
 * Workers cannot begin while other threads keep the processors busy. If those are OpenMP's, which spin
 * for some milliseconds after a parallel loop of numba or of the program, they can do the work themselves.
 * Each thread of the program chooses for its own calls, since it has OpenMP threads of its own. */
#ifndef PEPG_OPENMP_TEAM_H
#define PEPG_OPENMP_TEAM_H

/* Call `work` on up to `team` threads, numbered from 0; return how many there were. */
int pepg_run_on_openmp(int team, void (*work)(int worker, void *context), void *context);

/* Whether this thread's next call should use OpenMP's threads for a team of this size. */
int pepg_prefers_openmp(int team);

/* A call of this thread's took so many seconds with our workers, and they missed most of it or did not. */
void pepg_learn_from_workers(int team, double seconds, int is_missed);

#endif
