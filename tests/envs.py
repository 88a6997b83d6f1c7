"""Small environments whose returns are known, and environments that fail. Worker processes can import them."""

import hashlib
import os
import random
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

#: Arguments of a run of one small generation in this process.
QUICK = [
    "--population-size",
    "4",
    "--max-steps",
    "1",
    "--workers",
    "0",
    "--center-every",
    "0",
    "--seed",
    "3",
]


class Walk(gymnasium.Env):
    """A point that is pushed along a line and should stay near 0; an episode's length depends on its seed."""

    def __init__(self, box=1.0, steps=30, offset=0.0):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Box(-box, box, (1,), np.float32)
        self.steps, self.offset = steps, offset

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1.0, 1.0)
        self.left = int(self.np_random.integers(self.steps // 2, self.steps + 1))
        return self._seen(), {}

    def step(self, action):
        assert action.shape == (1,)
        assert action.dtype == np.float32
        self.x += 0.2 * float(action[0])
        self.left -= 1
        return self._seen(), -abs(self.x), self.left == 0, False, {}

    def _seen(self):
        return np.array([self.offset + 10.0 * self.x, self.left / 10.0], np.float32)


class Turns(gymnasium.Env):
    """An environment with discrete actions from 3 to 5, of which 4 is rewarded."""

    def __init__(self):
        self.observation_space = spaces.Box(0, 255, (2, 2), np.uint8)
        self.action_space = spaces.Discrete(3, start=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 10
        return self._seen(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.left -= 1
        return self._seen(), float(action == 4), False, self.left == 0, {}

    def _seen(self):
        return np.full((2, 2), self.left, np.uint8)


class Pictures(Turns):
    """An environment with images, which networks of dense layers do not support."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (96, 96, 3), np.uint8)


class Raises(Walk):
    """An environment whose third step fails in episodes whose seed is a multiple of `which`."""

    def __init__(self, which=1):
        super().__init__()
        self.which = which

    def reset(self, *, seed=None, options=None):
        self.seed, self.count = seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.count += 1
        if self.count == 3 and self.seed % self.which == 0:
            raise ZeroDivisionError("the walker tripped")
        return super().step(action)


class GivesNaN(Walk):
    """An environment whose rewards are NaN."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, np.nan, *rest


class Shows(Walk):
    """An environment whose arguments determine its fourth observation and its rewards."""

    def __init__(self, observation=None, reward=None, folder=None):
        super().__init__()
        self.observation, self.reward = observation, reward
        self.file = None
        if folder is not None:  # what `close` removes
            self.file = Path(folder, f"{os.getpid()}-{id(self)}")
            self.file.touch()

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.count += 1
        observation, reward, *rest = super().step(action)
        if self.observation is not None and self.count == 3:
            observation = self.observation
        return observation, reward if self.reward is None else self.reward, *rest

    def close(self):
        if self.file is not None:
            self.file.unlink()


class Endless(Walk):
    """An environment whose episodes never end, except for the first `at_first` episodes of a process."""

    episodes = 0

    def __init__(self, at_first=0):
        super().__init__()
        self.at_first = at_first

    def reset(self, *, seed=None, options=None):
        Endless.episodes += 1
        return super().reset(seed=seed, options=options)

    def step(self, action):
        observation, reward, done, *rest = super().step(action)
        if Endless.episodes > self.at_first:
            if not done and self.left == 1:
                print("endless", flush=True)
            done = False
            time.sleep(0.001)
        return observation, reward, done, *rest


class Wanders(Walk):
    """An environment that changes the working folder, and removes the new one if `removes` is true."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, when="init", folder=None, removes=False, render_mode=None):
        super().__init__()
        self.render_mode = render_mode
        self.when, self.folder, self.removes = when, folder, removes
        self._go("init")

    def reset(self, *, seed=None, options=None):
        self._go("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self._go("step")
        return super().step(action)

    def render(self):
        return np.zeros((2, 2, 3), np.uint8)

    def _go(self, at):
        if at == self.when and self.folder is not None:
            os.makedirs(self.folder, exist_ok=True)
            os.chdir(self.folder)
            if self.removes:
                os.rmdir(self.folder)


class Fails(Walk):
    """An environment that fails in episodes with these seeds, once for each file in a folder, which it removes."""

    def __init__(self, how="raise", folder=None, seeds=None, at="step"):
        super().__init__()
        self.how, self.folder, self.seeds, self.at = how, folder, seeds, at
        self.seed = None
        self._go_wrong("init")

    def reset(self, *, seed=None, options=None):
        self.seed = seed
        self._go_wrong("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        given = self._go_wrong("step") if self.left == 3 else None
        observation, reward, *rest = super().step(action)
        if given == "observation":
            observation[1] = np.inf
        return observation, np.nan if given == "reward" else reward, *rest

    def _go_wrong(self, at):
        if at != self.at or not (
            self.seeds is None or self.seed is None or self.seed in self.seeds
        ):
            return None
        if self.folder is not None:
            files = sorted(Path(self.folder).iterdir())
            if not files:
                return None
            files[0].unlink()
        if self.how == "raise":
            raise ConnectionError("the simulator went away")
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "die":
            os._exit(9)
        if self.how == "sleep":
            time.sleep(600.0)
        if self.how == "compute":  # where no signal is heard
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        return self.how


class Dies(Walk):
    """An environment that ends its process, once for each file in a folder, which it removes."""

    def __init__(self, folder=None, seed=None):
        super().__init__()
        self.folder, self.only = folder, seed

    def reset(self, *, seed=None, options=None):
        self.seed = seed
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self.folder is not None and self.only in (None, self.seed):
            for file in Path(self.folder).iterdir():
                file.unlink(missing_ok=True)
                os._exit(9)
        return super().step(action)


class Draws(Walk):
    """An environment whose rewards have noise from a global generator; `when` says when it is drawn."""

    metadata = {"render_modes": ["human"]}  # noqa: RUF012

    def __init__(self, when="step", source="np.random", seeds_itself=False, render_mode=None):
        super().__init__()
        self.render_mode = render_mode
        self.when, self.source, self.seeds_itself = when, source, seeds_itself
        self.noise = self._drawn("init")

    def reset(self, *, seed=None, options=None):
        if self.seeds_itself:
            np.random.seed(seed)
        if self.when == "reset":
            self.noise = self._drawn("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + self.noise + self._drawn("step"), *rest

    def _drawn(self, now):
        if self.when != now:
            return 0.0
        return {"np.random": np.random.normal, "random": lambda: random.gauss(0, 1)}[self.source]()


class Slow(Walk):
    """An environment in which a step takes a millisecond."""

    def step(self, action):
        time.sleep(0.001)
        return super().step(action)


class Words(gymnasium.Env):
    """An environment whose observations are text, which networks do not support."""

    def __init__(self, action=None):
        self.observation_space = spaces.Text(5) if action is None else spaces.Box(0, 1, (1,))
        self.action_space = spaces.Discrete(2) if action is None else action


OLD_STEPS = {
    "four": lambda seen, reward, done: (seen, reward, done, {}),
    "six": lambda seen, reward, done: (seen, reward, done, False, {}, {}),
    "none": lambda seen, reward, done: None,
    "one": lambda seen, reward, done: 5,
}
OLD_RESETS = {
    "observation": lambda seen: seen,
    "list": lambda seen: [float(number) for number in seen],
    "three": lambda seen: (seen, {}, {}),
    "none": lambda seen: None,
}


class Old(Walk):
    """An environment that returns values as in interfaces other than Gymnasium's, or nonsense."""

    metadata = {"render_modes": ["human"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, step="", reset="", render_mode=None):
        super().__init__()
        self.render_mode = render_mode
        self.as_step, self.as_reset = OLD_STEPS.get(step), OLD_RESETS.get(reset)

    def reset(self, *, seed=None, options=None):
        first, info = super().reset(seed=seed)
        return (first, info) if self.as_reset is None else self.as_reset(first)

    def step(self, action):
        seen, reward, done, *rest = super().step(action)
        return (
            (seen, reward, done, *rest)
            if self.as_step is None
            else self.as_step(seen, reward, done)
        )


class Seedless(Walk):
    """An environment whose `reset` has no arguments."""

    def reset(self):
        return super().reset(seed=0)


class Ducks:
    """An object that has what episodes use of an environment, but is not Gymnasium's."""

    def __init__(self):
        self.walk = Walk()
        self.observation_space, self.action_space = (
            self.walk.observation_space,
            self.walk.action_space,
        )
        self.unwrapped, self.metadata = self, {}
        self.reset, self.step, self.close = self.walk.reset, self.walk.step, self.walk.close


class Bet(gymnasium.Env):
    """An environment with one step, whose reward is the action times a random factor of mean 1."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    action_space = gymnasium.spaces.Box(-1e4, 1e4, (1,))

    def __init__(self, spread=0.0):
        self.spread = spread

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.chance = 1.0 + self.spread * self.np_random.normal()
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), float(action[0]) * self.chance, True, False, {}


gymnasium.register("Walk-v0", Walk, max_episode_steps=25)
gymnasium.register("Old-v0", Old)
gymnasium.register("OldLimited-v0", Old, max_episode_steps=25)
gymnasium.register("Seedless-v0", Seedless, max_episode_steps=25)
gymnasium.register("ns/Walk-v0", Walk, max_episode_steps=25)
gymnasium.register("ns-Walk-v0", Walk, max_episode_steps=25)
gymnasium.register("Slow-v0", Slow)
gymnasium.register("Draws-v0", Draws)
gymnasium.register("Turns-v0", Turns)
gymnasium.register("Pictures-v0", Pictures)
gymnasium.register("Raises-v0", Raises)
gymnasium.register("Fails-v0", Fails)
