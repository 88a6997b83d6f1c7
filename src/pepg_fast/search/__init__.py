"""What a search is made of: options, the noise and its streams, rewards into weights, gradients, sigma, rates."""
