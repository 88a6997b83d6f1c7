/* CartPole-v1, trained from C: episodes, ranks and updates on all threads, without Python.
 *
 * The environment is that of ../c_cartpole/cartpole.c. */
#include <pepg_fast.h>
#include <stdio.h>
#include <stdlib.h>

#define SOLVED 475.0 /* mean return from which gymnasium calls CartPole-v1 solved */

pepg_reset cartpole_reset;
pepg_step cartpole_step;

enum { EPISODES = 4, TEST_EPISODES = 100, MAX_STEPS = 500 };

static const ptrdiff_t sizes[] = {4, 16, 1};
static const pepg_network network = {2, 1, PEPG_TANH, PEPG_IDENTITY, sizes};
static const pepg_environment cartpole = {.size = sizeof(pepg_environment),
        .reset = cartpole_reset,
        .step = cartpole_step,
        .state_size = 4,
        .max_steps = MAX_STEPS};

/* Mean return of the center, in episodes that the search never sees. */
static double score(const pepg_search *search, void *work) {
    double returns[TEST_EPISODES], sum = 0.0;
    int64_t steps[TEST_EPISODES];
    if (pepg_simulate(&cartpole, &network, 1, search->mu, 0, TEST_EPISODES, UINT64_C(1) << 32, NULL,
                returns, steps, work, NULL, NULL, search->n_threads) != PEPG_OK)
        return 0.0;
    for (int e = 0; e < TEST_EPISODES; ++e) sum += returns[e];
    return sum / TEST_EPISODES;
}

int main(void) {
    pepg_search_options options = {.size = sizeof options, .population_size = 64, .key = 1};
    options.dim = pepg_network_parameters(&network);
    options.sigma_init = 0.5, options.l2 = 0.005;
    options.step_rule = pepg_adam_rule(0.1), options.sigma_rule.learning_rate = 0.1;

    pepg_search search;
    void *memory = malloc(pepg_search_size(&options)), *work = NULL, *test_work = NULL;
    double center = 0.0;
    if (!memory || pepg_search_init(&search, &options, memory) != PEPG_OK) goto end;
    work = malloc(pepg_search_simulate_size(&search, &cartpole, &network, EPISODES));
    test_work = malloc(pepg_simulate_work_size(&cartpole, &network, NULL, search.n_threads));
    if (!work || !test_work) goto end;
    while (center < SOLVED && search.step < 100) {
        if (pepg_search_simulate(&search, &cartpole, &network, EPISODES, 0, 5, work, NULL, NULL) !=
                PEPG_OK)
            break;
        center = score(&search, test_work);
        printf("Generation %d: best %.1f, center %.1f\n", (int)search.step, search.best_fitness,
                center);
    }
    printf("%s after %llu steps of the environment\n", center < SOLVED ? "Not solved" : "Solved",
            (unsigned long long)search.interactions);
end:
    free(test_work), free(work), free(memory);
    return center < SOLVED;
}
