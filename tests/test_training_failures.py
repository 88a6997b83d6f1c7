"""Episodes that fail, take too long or end their process are repeated, count as worst, or are an error."""

import signal
import time

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")
import envs
from test_training import assert_same_state, changed

from pepg_fast import EvaluationError, History
from pepg_fast.training import TrainConfig, train
from pepg_fast.training.trainer import _drawn

pytestmark = pytest.mark.usefixtures("no_picture")

#: As long as it takes to say that something hangs; what does not takes milliseconds.
LIMIT = 0.5


def fails(folder, how="raise", times=1, **more):
    """Return a function that makes environments which fail this number of times in all."""
    for number in range(times):
        (folder / f"{number}").touch()
    return lambda: envs.Fails(how, str(folder), **more)


def seed_of(generation, pair):
    """Return the seed of the episodes of a pair."""
    return int(_drawn(4, 0, generation, (4, 1))[pair, 0])


@pytest.fixture
def tokens(tmp_path):
    (tmp_path / "tokens").mkdir()
    return tmp_path / "tokens"


WAYS = [
    ("raise", "init", 0), ("raise", "reset", 0), ("raise", "step", 0), ("raise", "step", 1), ("observation", "step", 0),
    ("reward", "step", 0), ("sleep", "step", 0), ("sleep", "reset", 1), ("die", "step", 1), ("compute", "step", 1),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*an episode failed:UserWarning")
@pytest.mark.parametrize(("how", "at", "workers"), WAYS)
def test_an_episode_that_is_run_again_has_the_bits_of_one_that_did_not_fail(
    how, at, workers, tokens, tmp_path
):
    settings = {"max_steps": 3, "workers": workers, "episodes": 2, "episode_time_limit": LIMIT}
    settings["new_env"] = at == "init"
    train(fails(tokens, how, 0, at=at), changed(**settings), folder=tmp_path / "whole")
    at_first = 0 if at == "init" else 1 if how in ("die", "compute") else 2
    env, config = fails(tokens, how, at_first, at=at), changed(**settings, episode_retries=2)

    def arm(es, row):
        if es.step == 1:
            (tokens / "now").touch()

    result = train(env, config, folder=tmp_path / "run", callbacks=arm)
    assert not list(tokens.iterdir())
    assert_same_state(tmp_path / "run", tmp_path / "whole")
    if how not in ("die", "compute"):  # the first death of an episode may be another's
        assert result.failed_episodes == at_first + 1


@pytest.mark.parametrize(("how", "workers"), [("raise", 0), ("raise", 1), ("die", 1)])
def test_a_candidate_whose_episode_failed_ranks_last_and_nothing_of_it_counts(
    how, workers, tmp_path
):
    config = changed(max_steps=3, workers=workers, failed_episodes="worst", episode_retries=1)
    seen = []
    train(envs.Walk, config, callbacks=lambda es, row: seen.append(row))
    bad = [seed_of(generation=1, pair=2)]
    with pytest.warns(UserWarning, match=r"an episode failed: .*run again 1 times, then.*worst"):
        result = train(lambda: envs.Fails(how, seeds=bad), config, folder=tmp_path)
    assert result.step == 3
    assert result.failed_episodes == 4
    rows = list(History.read_csv(tmp_path / "history.csv"))
    for row in (*rows, *seen):
        row["seconds"] = 0.0
    np.testing.assert_equal(rows[0], seen[0])
    assert rows[1]["interactions"] < seen[1]["interactions"]
    assert np.isfinite(rows[1]["worst"])
    assert rows[1]["mean"] != seen[1]["mean"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_generation_in_which_all_fail_ends_the_run(workers, tmp_path):
    config = changed(workers=workers, failed_episodes="worst")
    with (
        pytest.warns(
            UserWarning, match=r"an episode failed: ConnectionError.*; such episodes count as"
        ),
        pytest.raises(EvaluationError, match=r"all 8 candidates .* ConnectionError: the sim"),
    ):
        train(lambda: envs.Fails("raise"), config, folder=tmp_path)
    result = train(
        envs.Fails if False else envs.Walk, changed(max_steps=2), folder=tmp_path, resume=True
    )
    assert result.step == 2


def test_a_center_that_failed_was_not_evaluated(tmp_path):
    bad = _drawn(4, 1, 0, (1, 2))[0].tolist()
    config = changed(failed_episodes="worst", max_steps=3, center_every=1)
    with pytest.warns(UserWarning, match="an episode failed"):
        result = train(lambda: envs.Fails("raise", seeds=bad), config, folder=tmp_path)
    assert np.isnan(result.history["center"]).all()
    assert result.best_center is None
    again = train(envs.Walk, changed(max_steps=4, center_every=1), folder=tmp_path, resume=True)
    assert again.best_center is not None


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("how", "error"), [("raise", "ConnectionError"), ("exit", "SystemExit")])
def test_an_environment_that_cannot_be_made_once_more_is_a_failed_episode(
    how, error, workers, tokens
):
    def arm(es, row):
        (tokens / "now").touch()

    config = changed(workers=workers, new_env=True)
    with pytest.raises(EvaluationError, match=rf"candidate 0: {error}.*\(reset with seed \d+\)$"):
        train(fails(tokens, how, 0, at="init"), config, callbacks=arm)


@pytest.mark.parametrize("workers", [0, 1])
def test_by_default_a_failure_ends_the_run_at_once(workers, tokens):
    with pytest.raises(EvaluationError, match="the simulator went away"):
        train(fails(tokens), changed(workers=workers))


@pytest.mark.filterwarnings("ignore:.*an episode failed:UserWarning")
def test_more_failures_than_tries_end_the_run(tokens):
    bad = None
    with pytest.raises(
        EvaluationError, match=r"candidate \d: ConnectionError: .*seed \d"
    ) as caught:
        train(fails(tokens, times=99, seeds=bad), changed(episode_retries=2))
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_or_interrupt_is_not_tried_again(kind):
    made = []

    class Leaves(envs.Walk):
        def __init__(self):
            super().__init__()
            made.append(self)

        def step(self, action):
            raise kind

    config = changed(population_size=2, episode_retries=3, failed_episodes="worst", center_every=0)
    if kind is SystemExit:
        with pytest.raises(EvaluationError, match="SystemExit"):
            train(Leaves, config)
    else:
        assert train(Leaves, config).reason == "interrupted"
    assert len(made) == 3  # one environment for the spaces, and two for the slots of the generation


def test_the_clock_leaves_the_alarm_to_who_has_it(tokens):
    """Without the alarm, the time is checked between steps."""
    calls = []

    class Slow(envs.Walk):
        def step(self, action):
            time.sleep(0.06)
            return super().step(action)

    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(0))
    try:
        with pytest.raises(EvaluationError, match=r"TimeoutError: .* longer than 0.05 s"):
            train(Slow, changed(episode_time_limit=0.05))
        assert signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not calls
    train(envs.Walk, changed(max_steps=1, episode_time_limit=5.0))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"episode_retries": -1}, "episode_retries: wanted"),
        ({"episode_retries": 1.5}, "episode_retries: wanted"),
        ({"failed_episodes": "best"}, "failed_episodes: wanted"),
        ({"episode_time_limit": 0.0}, "episode_time_limit: wanted"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises((ValueError, TypeError), match=message):
        TrainConfig(**setting)


def test_settings_may_change_on_resuming(tmp_path, tokens):
    env = fails(tokens)
    with pytest.raises(EvaluationError):
        train(env, changed(max_steps=3), folder=tmp_path / "run")
    train(env, changed(max_steps=3), folder=tmp_path / "whole")
    (tokens / "again").touch()
    config = changed(max_steps=3, episode_retries=1)
    with pytest.warns(UserWarning, match="an episode failed"):
        train(env, config, folder=tmp_path / "run", resume=True)
    assert_same_state(tmp_path / "run", tmp_path / "whole")
