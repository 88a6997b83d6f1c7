"""The parts of a search: options, the noise and its streams, weights from rewards, gradients, sigma, rates."""
