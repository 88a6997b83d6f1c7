"""The formulas in NumPy float64, written from the papers: slow and plain, as the oracle of the kernel tests."""

import itertools

import numpy as np

PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_WEYL = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF


def philox4x32(counter, key: int, rounds: int = 10) -> list[int]:
    """Return Philox4x32 of one counter, in Python integers (Salmon et al. 2011, section 3.3)."""
    x, k0, k1 = list(counter), key & WORD, key >> 32
    for _ in range(rounds):
        first, second = PHILOX_MULTIPLIERS[0] * x[0], PHILOX_MULTIPLIERS[1] * x[2]
        x = [(second >> 32) ^ x[1] ^ k0, second & WORD, (first >> 32) ^ x[3] ^ k1, first & WORD]
        k0, k1 = (k0 + PHILOX_WEYL[0]) & WORD, (k1 + PHILOX_WEYL[1]) & WORD
    return x


def normal(key: int, generation: int, pair: int, coordinate: int) -> float:
    """Return one normal, by Box-Muller in float64 from the words of the coordinate's counter."""
    counter = (coordinate // 4, pair, generation & WORD, generation >> 32)
    words = philox4x32(counter, key)[2 * (coordinate % 4 // 2) :][:2]
    radius = np.sqrt(-2.0 * np.log((words[0] + 0.5) / 2.0**32))
    signed = words[1] - 2**32 if words[1] >> 31 else words[1]
    angle = np.pi / 2 * signed / 2.0**31
    if coordinate % 2:
        return float(radius * np.sin(angle))
    return float(radius * np.cos(angle) * (-1 if words[1] & 1 else 1))


def centered_ranks(rewards) -> np.ndarray:
    """Return average ranks from -1/2 to 1/2, by counting."""
    x = np.asarray(rewards, dtype=np.float64)
    below = (x[None, :] < x[:, None]).sum(axis=1)
    not_above = (x[None, :] <= x[:, None]).sum(axis=1)
    return (below + not_above - 1) / 2 / (len(x) - 1) - 0.5


def antithetic(shaped) -> np.ndarray:
    """Return delta and even."""
    plus, minus = np.split(np.asarray(shaped), 2)
    return np.array([plus - minus, (plus + minus) / 2 - np.mean(shaped)])


def gradients(epsilon, weights, sigma) -> tuple[np.ndarray, np.ndarray]:
    """Return g_mu and g_sigma as pepg-es computes them."""
    population = 2 * len(epsilon)
    s = (epsilon**2 - sigma**2) / sigma
    return epsilon.T @ weights[0] / population, s.T @ weights[1] / population


def adam(gradient, m, v, t, alpha, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Return (step, m, v) after one step of Adam in the eps-hat form."""
    m = beta_1 * m + (1 - beta_1) * gradient
    v = beta_2 * v + (1 - beta_2) * gradient**2
    size = alpha * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return -size * m / (np.sqrt(v) + epsilon), m, v


ACTIVATIONS = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softmax": lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
}


def forward(sizes, weights, x, hidden, output, bias=True) -> np.ndarray:
    """Return the outputs of one network for one input."""
    index, x = 0, np.asarray(x, dtype=np.float64)
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        rows = inputs + bias
        block = np.asarray(weights[index : index + rows * outputs], dtype=np.float64).reshape(
            rows, outputs
        )
        index += rows * outputs
        y = x @ block[:inputs] + (block[inputs] if bias else 0.0)
        x = ACTIVATIONS[output if layer == len(sizes) - 2 else hidden](y)
    return x


def sigma_step(sigma, g_sigma, sigma_lr, max_change, sigma_min, sigma_max):
    """Return the new sigma, in the width of the old one."""
    most = max_change * sigma
    step = np.clip(sigma + sigma_lr * g_sigma, sigma - most, sigma + most)
    return np.clip(step, sigma_min, sigma_max)


def velocity_step(rule, gradient, velocity, alpha, momentum, max_speed):
    """Return (step, velocity) after one step by a rule with a velocity, as in the papers."""
    if rule == "clipup":
        length = np.linalg.norm(gradient)
        direction = gradient / length if length else np.zeros_like(gradient)
        velocity = momentum * velocity - alpha * direction
        velocity = velocity * min(1.0, max_speed / max(np.linalg.norm(velocity), 1e-300))
        return velocity, velocity
    velocity = momentum * velocity + gradient
    ahead = gradient + momentum * velocity if rule == "nesterov" else velocity
    return -alpha * ahead, velocity


def digest(data: bytes) -> bytes:
    """Return the digest of csrc/digest.h, computed one word at a time."""
    lanes, rows, low = 32, 256, 0xFFFFFFFF
    sums = philox4x32([len(data) & low, len(data) >> 32, 0, 0], 2**64 - 1)
    data += bytes(-len(data) % (8 * lanes))
    words = np.frombuffer(data, np.uint64).reshape(-1, lanes)
    for leaf in range(-(-len(words) // rows)):
        states = []
        for lane in range(lanes):
            a, b = (lane + 1) * 0x9E3779B9 & low, 0
            for word in map(int, words[leaf * rows : (leaf + 1) * rows, lane]):
                a, b = a ^ word & low, b ^ word >> 32
                for _ in range(3):
                    product = a * 0xD256D193
                    a, b = product >> 32 ^ b, product & low
            states += [a, b]
        for i in range(0, len(states), 4):
            mixed = philox4x32(states[i : i + 4], leaf)
            sums = [(one + other) & low for one, other in zip(sums, mixed, strict=True)]
    return np.array(sums, np.uint32).tobytes()


GATES = {"elman": 1, "gru": 3, "lstm": 4}


def recur(sizes, cell, weights, x, state, output="identity", bias=True):
    """Return (outputs, state) of one recurrent network after one input; the state is h, followed by c for an LSTM."""
    _, hidden, outputs = sizes
    gates, index = GATES[cell] * hidden, 0
    h, c = state[:hidden], state[hidden:]

    def layer(values, columns):
        nonlocal index
        end = index + len(values) * columns
        block = np.asarray(weights[index:end], dtype=np.float64).reshape(-1, columns)
        biases = np.asarray(weights[end : end + columns], np.float64) if bias else np.zeros(columns)
        index = end + bias * columns
        return values @ block + biases

    a = layer(np.asarray(x, np.float64), gates).reshape(-1, hidden)
    b = layer(np.asarray(h, np.float64), gates).reshape(-1, hidden)
    sigmoid = ACTIVATIONS["sigmoid"]
    if cell == "elman":
        h = np.tanh(a[0] + b[0])
    elif cell == "gru":
        r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        h = (1 - z) * np.tanh(a[2] + r * b[2]) + z * h
    else:
        i, f, g, o = a + b
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return ACTIVATIONS[output](layer(h, outputs)), np.concatenate([h, c])
