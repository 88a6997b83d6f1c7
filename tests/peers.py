"""The updates of mu and sigma in other packages, generation by generation: formulas written from their sources.

All take the noise of each generation, (pairs, d), and its rewards or costs in the order of this package: all of the
plus sides, then all of the minus sides. All return mu and sigma. Numbers are float64, and rewards have no ties.
"""

import math

import numpy as np

# ---- the steps of the mean, as functions of the gradient to ascend ----------------------------------------------


def plain(rate):
    return lambda g: rate * g


def momentum(rate, decay, nesterov=False, dampening=0.0):
    """torch.optim.SGD and optax.sgd."""
    v = None

    def step(g):
        nonlocal v
        v = g if v is None else decay * v + (1 - dampening) * g
        return rate * (g + decay * v if nesterov else v)

    return step


def adam_hat(rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam with the bias corrections in the rate, as in OpenAI's code, pgpelib and estool."""
    m = v = t = 0

    def step(g, rate=rate):
        nonlocal m, v, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        return rate * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + epsilon)

    return step


def adam(rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Adam with corrected moments; `rate` and the power of the betas as functions of the number of calls so far."""
    rate_at = rate if callable(rate) else lambda t: rate
    m = v = t = 0

    def step(g, power=None):
        nonlocal m, v, t
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        power = t + 1 if power is None else power
        corrected = m / (1 - beta1**power), v / (1 - beta2**power)
        t += 1
        return rate_at(t - 1) * corrected[0] / (np.sqrt(corrected[1]) + epsilon)

    return step


def clipup(rate, decay=0.9, max_speed=0.15):
    """ClipUp with the velocity in units of the parameters, as in pgpelib, evotorch and evojax."""
    rate_at = rate if callable(rate) else lambda t: rate
    v = t = 0

    def step(g):
        nonlocal v, t
        v = decay * v + rate_at(t) * g / np.sqrt(np.sum(g**2))
        v = v * min(1.0, max_speed / np.sqrt(np.sum(v**2)))
        t += 1
        return v

    return step


def clipup_in_units_of_rate(rate, decay=0.9, max_velocity=0.1, eps=1e-8):
    """ClipUp with the velocity in units of the learning rate, as in evosax."""
    v = 0

    def step(g):
        nonlocal v
        v = decay * v + g / (np.sqrt(np.sum(g**2)) + eps)
        length = np.sqrt(np.sum(v**2))
        if length > max_velocity / rate:
            v = v * (max_velocity / rate / length)
        return rate * v

    return step


# ---- fitness shaping: higher is better --------------------------------------------------------------------------


def ranked(rewards):
    ranks = np.empty(len(rewards))
    ranks[np.argsort(rewards)] = np.arange(len(rewards))
    return ranks


def centered(rewards):
    return ranked(rewards) / (len(rewards) - 1) - 0.5


def linear(rewards):
    return ranked(rewards) / (len(rewards) - 1)


def nes(rewards):
    n = len(rewards)
    raw = np.maximum(0.0, math.log(n / 2 + 1) - np.log(n - ranked(rewards)))
    return raw / raw.sum() - 1 / n


def normalized(rewards):
    return (rewards - rewards.mean()) / rewards.std(ddof=1)


def raw(rewards):
    return rewards


# ---- the packages -----------------------------------------------------------------------------------------------


def within_change(new, old, share):
    return np.clip(new, old - share * old, old + share * old)


def pgpelib(mu, sigma, noise, rewards, *, step, shaping=centered, stdev_lr=0.1, max_change=0.2):
    """pgpelib/pgpe.py: sums over the directions, divided by their number."""
    for eps, told in zip(noise, rewards, strict=True):
        n = len(eps)
        r = shaping(told)
        g_mu, g_sigma = np.zeros(mu.size), np.zeros(mu.size)
        for i in range(n):
            plus, minus = r[i], r[n + i]
            g_mu += 0.5 * (plus - minus) * eps[i] / n
            g_sigma += ((plus + minus) / 2 - r.mean()) * (eps[i] ** 2 - sigma**2) / sigma / n
        mu = mu + step(g_mu)
        new = sigma + stdev_lr * g_sigma
        sigma = new if max_change is None else within_change(new, sigma, max_change)
    return mu, sigma


def evotorch(
    mu, sigma, noise, fitnesses, *, step, shaping=centered, sense="max", symmetric=True, stdev_lr=0.1, max_change=0.2,
    stdev_min=-np.inf, stdev_max=np.inf
):  # fmt: skip
    """evotorch/distributions.py, by directions if symmetric and else by solutions; tools/misc.py for the limits."""
    for eps, told in zip(noise, fitnesses, strict=True):
        weights = shaping(told if sense == "max" else -told)
        if shaping is not centered and shaping is not normalized:
            weights = weights - weights.mean()
        score = (eps**2 - sigma**2) / sigma
        if symmetric:
            n = len(eps)
            plus, minus = weights[:n], weights[n:]
            g_mu, g_sigma = (plus - minus) / 2 @ eps / n, (plus + minus) / 2 @ score / n
        else:
            g_mu, g_sigma = weights @ eps / len(eps), weights @ score / len(eps)
        mu = mu + step(g_mu)
        share = np.inf if max_change is None else max_change
        low = np.maximum(stdev_min, sigma - share * sigma)
        high = np.minimum(stdev_max, sigma + share * sigma)
        sigma = np.minimum(np.maximum(sigma + stdev_lr * g_sigma, low), high)
    return mu, sigma


def evosax_centered(costs):
    return ranked(costs) / (len(costs) - 1) - 0.5


def evosax_standardized(costs):
    return (costs - costs.mean()) / np.sqrt(costs.var() + 1e-8)


def evosax_normalized(costs):
    return -1 + 2 * (costs - costs.min()) / (costs.max() - costs.min())


def evosax(mu, sigma, noise, costs, *, step, shaping=evosax_centered, std_lr=0.1, max_change=0.2):
    """evosax/algorithms/distribution_based/pgpe.py, which descends and divides by the population."""
    for eps, told in zip(noise, costs, strict=True):
        f = shaping(told)
        n = len(eps)
        g_mu = (f[:n] - f[n:]) @ eps / (2 * n)
        g_sigma = (f[:n] + f[n:] - 2 * f.mean()) @ ((eps**2 - sigma**2) / sigma) / (2 * n)
        mu = mu + step(-g_mu)
        sigma = within_change(sigma - std_lr * g_sigma, sigma, max_change)
    return mu, sigma


def evojax(
    mu, sigma, noise, rewards, *, optimizer="sgd", rate=0.15, coef=1.0, every=1000, shaping=centered, stdev_lr=0.1,
    max_change=0.2, **config
):  # fmt: skip
    """evojax/algo/pgpe.py, whose optimizers get the number of decays, not the number of steps."""
    decayed = lambda t: rate * coef ** (t // every)
    if optimizer == "adam":
        step = adam(decayed, **config)
    elif optimizer == "clipup":
        step = clipup(decayed, **config)
    for t, (eps, told) in enumerate(zip(noise, rewards, strict=True)):
        r = shaping(told).reshape(2, -1)
        g_mu = np.mean(0.5 * (r[0] - r[1])[:, None] * eps, axis=0)
        weight = r.mean(axis=0) - r.mean()
        g_sigma = np.mean(weight[:, None] * (eps**2 - sigma**2) / sigma, axis=0)
        if optimizer == "adam":
            mu = mu + step(g_mu, power=t // every + 1)
        elif optimizer == "clipup":
            mu = mu + step(g_mu)
        else:
            mu = mu + decayed(t) * g_mu
        sigma = within_change(sigma + stdev_lr * g_sigma, sigma, max_change)
    return mu, sigma


def fcmaes_ranked(rewards):
    return ranked(rewards) / len(rewards) - 0.5


def fcmaes(
    mu, sigma, noise, costs, *, bounds=None, normalize=True, use_ranking=False, rate=0.15, coef=1.0, every=1000,
    stdev_lr=0.1, max_change=0.2, **config
):  # fmt: skip
    """_fcmaescpp/pgpe.cpp: evojax's, in a box from -1 to 1; Adam started at the encoded point, as fcmaes means to."""
    middle, half = 0.0, 1.0
    if bounds is not None and normalize:
        middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    mu, sigma = evojax(
        (mu - middle) / half, sigma, [eps / half for eps in noise], [-told for told in costs], optimizer="adam",
        rate=rate, coef=coef, every=every, shaping=fcmaes_ranked if use_ranking else raw, stdev_lr=stdev_lr,
        max_change=max_change, **config,
    )  # fmt: skip
    return mu * half + middle, sigma * half


def estool(
    mu, sigma, noise, rewards, *, rate=0.01, rate_decay=0.9999, rate_limit=0.01, sigma_alpha=0.2, sigma_decay=0.999,
    sigma_limit=0.01, max_change=0.2, rank_fitness=True, weight_decay=0.01
):  # fmt: skip
    """es.py: the mean's gradient is a sum, sigma's is divided by the population; both rates decay after the update."""
    step = adam_hat(rate, beta1=0.99)
    sigma = sigma.copy()
    for eps, told in zip(noise, rewards, strict=True):
        r = centered(told) if rank_fitness else told
        n = len(eps)
        r = r - weight_decay * np.mean(np.concatenate([mu + eps, mu - eps]) ** 2, axis=1)
        deviation = 1.0 if rank_fitness else r.std()
        mu = mu + step((r[:n] - r[n:]) @ eps, rate)
        score = (eps * eps - sigma * sigma) / sigma
        change = sigma_alpha * (((r[:n] + r[n:]) / 2 - r.mean()) @ score) / (2 * n * deviation)
        sigma += np.maximum(np.minimum(change, max_change * sigma), -max_change * sigma)
        if sigma_decay < 1:
            sigma[sigma > sigma_limit] *= sigma_decay
        if rate_decay < 1 and rate > rate_limit:
            rate *= rate_decay
    return mu, sigma


# ---- searches whose noise is not multiplied by sigma, which stays -----------------------------------------------


def ars(mu, sigma, noise, rewards, *, used, step_size):
    """Mania, Guy and Recht 2018, algorithm 2, line 7."""
    for epsilon, fitness in zip(noise, rewards, strict=True):
        pairs = np.reshape(fitness, (2, -1)).T
        best = np.argsort(pairs.max(axis=1))[::-1][:used]
        kept = pairs[best]
        step = (kept[:, 0] - kept[:, 1]) @ (epsilon[best] / sigma)
        mu = mu + step_size / (used * kept.std()) * step
    return mu, np.full(len(mu), sigma)


def openai_es(mu, sigma, noise, rewards, *, step, l2coeff):
    """Salimans et al. 2017 as the starter agent has it; `step` takes a gradient to ascend."""
    for epsilon, fitness in zip(noise, rewards, strict=True):
        plus, minus = np.reshape(centered(fitness), (2, -1))
        g = (plus - minus) @ (epsilon / sigma) / len(fitness)
        mu = mu + step(g - l2coeff * mu)
    return mu, np.full(len(mu), sigma)


def openai_sgd(rate, decay):
    v = 0.0

    def step(g):
        nonlocal v
        v = decay * v + (1 - decay) * g
        return rate * v

    return step
