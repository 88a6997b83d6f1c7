#!/usr/bin/env python3
"""XOR with a 2-2-1 network: the example of pepg-es with the import changed."""

from pepg_fast import PEPG, Adam, NeuralNetwork, sigmoid

network = NeuralNetwork(input_size=2, output_size=1, hidden_sizes=[2],
                        hidden_activation=sigmoid,
                        output_activation=sigmoid)

# Adam is the default; it is written out to show how an optimizer gets its arguments.
optimizer_kwargs = {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-08}

es = PEPG(population_size=100, theta_size=network.number_of_parameters,
          mu_init=0, sigma_init=2.0,
          mu_lr=0.3, sigma_lr=0.2, optimizer=Adam,
          optimizer_kwargs=optimizer_kwargs)

truth_table = [[0, 1], [1, 0]]

while True:
    print(f'Step: {es.step}')
    solutions = es.get_parameters()
    rewards = []
    for solution in solutions:
        network.weights = solution
        error = 0
        for input_1 in range(len(truth_table)):
            for input_2 in range(len(truth_table[0])):
                output = int(round(network([input_1, input_2])[0]))
                error += abs(truth_table[input_1][input_2] - output)
        rewards.append((4 - error) ** 2)
    es.update(rewards)
    if es.best_fitness == 16:
        print('Solution Found')
        print(f'Parameters: {es.best_theta}')
        break
