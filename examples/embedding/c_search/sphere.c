/* A whole search in C: the minimum of a sphere. */
#include <pepg_fast.h>
#include <stdio.h>
#include <stdlib.h>

static double sphere(const double *theta, ptrdiff_t dim, void *data) {
    double sum = 0.0;
    (void)data;
    for (ptrdiff_t j = 0; j < dim; ++j) sum += theta[j] * theta[j];
    return sum;
}

int main(void) {
    pepg_search_options options = {.size = sizeof options, .population_size = 50, .dim = 10};
    options.mu_init = 3.0, options.sigma_init = 1.0, options.minimize = 1;
    options.step_rule = pepg_adam_rule(0.3), options.sigma_rule.learning_rate = 0.5;
    void *memory = malloc(pepg_search_size(&options));
    pepg_search search;
    if (!memory || pepg_search_init(&search, &options, memory) != PEPG_OK) return 1;
    pepg_search_run(&search, sphere, NULL, 200, NULL, NULL);
    printf("best %.2g after %d evaluations\n", search.best_fitness, (int)search.evaluations);
    free(memory);
    return 0;
}
