"""Callbacks of a run: functions, a progress bar, a CSV file, checkpoints."""

import csv
import functools
import io
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from searches import assert_same, by_hand, hill, hills, make

import pepg_fast
from pepg_fast import (
    PEPG,
    SGD,
    Callback,
    Checkpoints,
    CSVLog,
    Decay,
    EvaluationError,
    History,
    Progress,
)
from pepg_fast.run.history import COLUMNS


class Noted(Callback):
    """A callback that records its calls, and raises an exception at the given one."""

    def __init__(self, notes, name="", raises=()):
        self.notes, self.name, self.raises = notes, name, raises

    def _note(self, what):
        self.notes.append(self.name + what)
        if what in self.raises:
            raise ValueError(f"{self.name}{what}")

    def start(self, es, limits):
        self.limits = limits
        self._note("start")

    def step(self, es, row):
        self._note(f"step {es.step}")

    def end(self, es, result):
        self.result = result
        self._note("end" if result is not None else "end None")


class TestFunctions:
    def test_functions_are_called_in_order_after_each_step(self):
        notes = []
        make().run(
            hill,
            max_steps=2,
            callbacks=[
                lambda es, row: notes.append(("a", es.step, row["step"])),
                lambda es, row: notes.append(("b", es.step, row["step"])),
            ],
        )
        assert notes == [("a", 1, 1.0), ("b", 1, 1.0), ("a", 2, 2.0), ("b", 2, 2.0)]

    def test_rows_are_those_of_the_history(self):
        rows = []
        result = make().run(hill, max_steps=4, callbacks=lambda es, row: rows.append(row))
        np.testing.assert_equal(rows, list(result.history))

    def test_all_functions_are_called_even_if_the_first_ends_the_run(self):
        notes = []
        make().run(hill, callbacks=[lambda es, row: True, lambda es, row: notes.append(1)])
        assert notes == [1]

    def test_functions_may_change_the_search(self):
        es, twin = make(), make()

        def wider(es, row):
            es.sigma *= 1.1

        es.run(hill, max_steps=3, callbacks=wider)
        for _ in range(3):
            by_hand(twin, hill, 1)
            twin.sigma *= 1.1
        assert_same(es, twin)

    def test_a_function_that_raises_ends_the_run_after_a_complete_step(self):
        es = make()
        with pytest.raises(ZeroDivisionError):
            es.run(hill, max_steps=5, callbacks=lambda es, row: 1 // (es.step - 3) > 9)
        assert (es.step, es.is_pending) == (3, False)
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 5))


class TestOrder:
    def test_start_steps_end(self):
        notes = []
        a, b = Noted(notes, "a "), Noted(notes, "b ")
        result = make().run(hill, max_steps=2, callbacks=[a, b])
        assert notes[:-2] == [
            "a start", "b start", "a step 1", "b step 1", "a step 2", "b step 2"
        ]  # fmt: skip
        assert sorted(notes[-2:]) == ["a end", "b end"]
        assert a.result is b.result is result
        assert a.limits == (2, None, None, None, None, None)
        assert a.limits.max_steps == 2

    def test_start_and_end_without_a_step(self):
        notes = []
        make().run(hill, max_steps=0, callbacks=Noted(notes))
        assert notes == ["start", "end"]

    def test_after_an_interrupt_there_is_a_result(self):
        def evaluate(solution):
            raise KeyboardInterrupt

        notes = []
        noted = Noted(notes)
        result = make().run(evaluate, max_steps=3, callbacks=noted)
        assert notes == ["start", "end"]
        assert noted.result is result
        assert result.reason == "interrupted"

    def test_after_a_failure_there_is_none(self):
        notes = []
        with pytest.raises(EvaluationError):
            make().run(lambda x: 1 / 0, max_steps=3, callbacks=[Noted(notes), Noted(notes)])
        assert notes == ["start"] * 2 + ["end None"] * 2

    def test_callbacks_that_were_started_are_ended(self):
        notes, es = [], make()
        callbacks = [Noted(notes, "a "), Noted(notes, "b ", ["start"]), Noted(notes, "c ")]
        with pytest.raises(ValueError, match="b start"):
            es.run(hill, max_steps=3, callbacks=callbacks)
        assert notes == ["a start", "b start", "a end None"]
        assert_same(es, make())

    @pytest.mark.parametrize("fails", ["a", "b", "c"])
    def test_all_callbacks_are_ended_even_if_one_fails(self, fails):
        notes, es = [], make()
        callbacks = [Noted(notes, name, ["end"] * (name == fails)) for name in "abc"]
        with pytest.raises(ValueError, match=f"{fails}end"):
            es.run(hill, max_steps=1, callbacks=callbacks)
        assert sorted(notes[-3:]) == ["aend", "bend", "cend"]
        assert es.step == 1

    def test_a_failure_is_reported_even_if_the_end_fails_too(self):
        with pytest.raises(ValueError, match="end None") as caught:
            make().run(lambda x: 1 / 0, max_steps=1, callbacks=Noted([], "", ["end None"]))
        assert isinstance(caught.value.__context__, EvaluationError)

    def test_the_same_callback_in_several_runs(self):
        notes, es = [], make()
        noted = Noted(notes)
        for _ in range(2):
            es.run(hill, max_steps=1, callbacks=noted)
        assert notes == ["start", "step 1", "end", "start", "step 2", "end"]

    def test_a_step_that_returns_true_ends_the_run(self):
        class Three(Callback):
            def step(self, es, row):
                return row["step"] == 3

        assert make().run(hill, callbacks=[Three()]).step == 3


class TestProgress:
    @pytest.fixture(autouse=True)
    def tqdm(self):
        return pytest.importorskip("tqdm")

    def run(self, limits, options=(), **search):
        text = io.StringIO()
        bar = Progress(file=text, ascii=True, **dict(options))
        result = make(**search).run(hill, callbacks=bar, **limits)
        assert bar._bar is not None
        return text.getvalue().split("\r")[-1], result

    @pytest.mark.parametrize(
        ("limits", "total"),
        [
            ({"max_steps": 4}, "4/4"),
            ({"max_evaluations": 49}, "4/4"),
            ({"max_evaluations": 49, "max_steps": 9}, "4/4"),
            ({"max_evaluations": 49, "max_steps": math.inf}, "4/4"),
            ({"max_steps": 8, "patience": 100, "target_fitness": 1.0}, "8/8"),
            ({"max_steps": 9, "target_fitness": -1e9}, "1/9"),
        ],
    )
    def test_the_length_of_the_bar(self, limits, total):
        text, _ = self.run(limits)
        assert text.startswith(f"{total} |")

    def test_a_run_of_unknown_length(self):
        text, _ = self.run({"max_steps": math.inf, "target_fitness": -1e9})
        assert text.startswith("1 steps, ")

    def test_the_length_is_unknown_if_generations_grow(self):
        text = io.StringIO()
        es = make(num_interactions=25)
        es.run(lambda x: (hill(x), 1), max_evaluations=60, callbacks=Progress(file=text))
        assert "2 steps, " in text.getvalue()

    def test_the_text_of_the_bar_ends_with_the_last_row(self):
        text, result = self.run({"max_steps": 5}, {"desc": "hill"})
        row = list(result.history)[-1]
        assert text.startswith("hill: 5/5 |")
        assert text.rstrip().endswith(" evaluations/s")
        assert f"best {row['best_fitness']:.5g}, mean {row['mean']:.5g}, " in text
        assert f"sigma {row['sigma_median']:.3g}, " in text

    def test_a_bar_without_a_step(self):
        text, _ = self.run({"max_steps": 0})
        assert "evaluations/s" not in text

    def test_the_bar_ends_after_an_error(self):
        text, bar = io.StringIO(), None
        bar = Progress(file=text)
        with pytest.raises(EvaluationError):
            make().run(
                lambda x, n=itertools.count(): 1 / (25 - next(n)), max_steps=9, callbacks=bar
            )
        assert text.getvalue().split("\r")[-1].startswith("2/9 |")
        assert text.getvalue().endswith("\n")

    def test_several_runs_with_one_bar(self):
        text, es = io.StringIO(), make()
        bar = Progress(file=text)
        es.run(hill, max_steps=3, callbacks=bar)
        es.run(hill, max_steps=2, callbacks=bar)
        assert text.getvalue().split("\r")[-1].startswith("2/2 |")
        es.run(hill, max_steps=0, callbacks=bar)
        assert "best" not in text.getvalue().split("\r")[-1]

    def test_a_disabled_bar_writes_nothing(self):
        text, result = self.run({"max_steps": 3}, {"disable": True})
        assert text == ""
        assert result.step == 3

    def test_tqdm_is_not_needed_for_the_import(self):
        code = "import sys; sys.modules['tqdm'] = None; import pepg_fast; pepg_fast.Progress"
        subprocess.run([sys.executable, "-c", code], check=True)


def rows_of(filename):
    """Return the rows as a program without this package would read them."""
    lines = [line for line in Path(filename).read_text().splitlines() if line[0] != "#"]
    return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(lines)]


def comments_of(filename):
    lines = Path(filename).read_text().splitlines()
    return [line for line in lines if line.startswith("#")]


class TestCSVLog:
    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "history.csv"

    def test_rows_are_those_of_the_history(self, file, dtype):
        es = make(dtype=dtype)
        history = es.run(hill, max_steps=7, center_every=3, callbacks=CSVLog(file)).history
        for read in (rows_of(file), list(History.read_csv(file))):
            np.testing.assert_equal(read, list(history))

    def test_values_that_are_not_finite_are_read_back(self, file):
        values = iter([[np.inf, -np.inf] * 5, [-np.inf] * 10, [1e-320, 1e308] * 5])
        es = make(population_size=10)
        history = es.run(
            lambda _: next(values), vectorized=True, max_steps=3, callbacks=CSVLog(file)
        ).history
        np.testing.assert_equal(list(History.read_csv(file)), list(history))
        np.testing.assert_equal(rows_of(file), list(history))

    def test_a_log_begins_with_the_configuration(self, file):
        es = make(theta_size=20, mu_init=np.arange(20.0), sigma_init=0.5, upper=30.0,
                  sigma_lr=Decay(0.1, 0.9), l2_coeff=lambda step: 0.0, optimizer=SGD,
                  optimizer_kwargs={"momentum": 0.5})  # fmt: skip
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        lines = file.read_text().splitlines()
        assert lines[-2] == ",".join(COLUMNS)
        comments = comments_of(file)
        assert comments == lines[:-2]
        for comment in [
            f"# pepg_fast: {pepg_fast.__version__}",
            "# population_size: 10",
            "# theta_size: 20",
            "# mu_init: 20 numbers from 0.0 to 19.0",
            "# sigma_init: 0.5",
            "# mu_lr: 0.1",
            "# sigma_lr: Decay(0.1, 0.9, every=1, limit=0.0)",
            "# dtype: float64",
            "# fitness_shaping: centered",
            "# maximize: True",
            "# sigma_max: inf",
            "# lower: 20 numbers from -inf to -inf",
            "# upper: 20 numbers from 30.0 to 30.0",
            "# num_interactions: None",
            "# optimizer: SGD(alpha=0.1, momentum=0.5, nesterov=False)",
        ]:
            assert comment in comments
        assert len(set(comments)) == len(comments)

    def test_a_setting_that_takes_several_lines_is_written_in_one(self, file):
        shaping = functools.partial(lambda matrix, rewards: rewards, np.eye(3))
        assert "\n" in repr(shaping)
        make(fitness_shaping=shaping).run(hill, max_steps=2, callbacks=CSVLog(file))
        assert len(History.read_csv(file)) == len(rows_of(file)) == 2

    @pytest.mark.parametrize(
        "text",
        ["a\nb", "a\r\n1,2", "a\rb", "\n# theta_size: 3\n", "a,b;\"c'", "# x", "a\u2028b", "a\x85b", "a\0b", "\ud800",
         "grüße", "\x1a", "\x0c", " a "],
        ids=ascii,
    )  # fmt: skip
    @pytest.mark.parametrize("where", ["value", "name", "class", "shaping"])
    def test_any_text_is_written_in_one_line(self, file, text, where):
        kind = type(
            text if where == "class" and "\0" not in text and text != "\ud800" else "Mine",
            (SGD,),
            {},
        )
        es = make(optimizer=kind)
        vars(es.optimizer)[text if where == "name" else "note"] = text if where == "value" else 1
        if where == "shaping":
            es.fitness_shaping = named = lambda rewards: rewards - rewards.mean()
            named.__qualname__ = text
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        before = comments_of(file)
        es.run(hill, max_steps=1, callbacks=CSVLog(file))  # what is known now is not noted again
        assert comments_of(file) == before
        assert all(line.isprintable() for line in file.read_text().split("\n"))
        assert len(History.read_csv(file)) == len(rows_of(file)) == 3

    def test_a_number_with_thousands_of_digits_does_not_end_a_run(self, file):
        es = make()
        es.optimizer.note = 10**5000
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        assert len(History.read_csv(file)) == 1

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    @pytest.mark.parametrize("steps", [0, 1])
    @pytest.mark.parametrize("overwrite", [True, False])
    def test_a_pipe_is_not_waited_for(self, file, steps, overwrite):
        es = make()
        es.run(hill, max_steps=steps)
        os.mkfifo(file)
        with pytest.raises(OSError, match=r"history\.csv"):
            es.run(hill, max_steps=1, callbacks=CSVLog(file, overwrite=overwrite))
        assert es.step == steps
        assert file.is_fifo()

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    @pytest.mark.parametrize("steps", [0, 1])
    @pytest.mark.parametrize("overwrite", [True, False])
    def test_a_device_is_named(self, file, steps, overwrite):
        es = make()
        es.run(hill, max_steps=steps)
        file.symlink_to("/dev/full")
        with pytest.raises(OSError, match=r"history\.csv"):
            es.run(hill, max_steps=1, callbacks=CSVLog(file, overwrite=overwrite))
        assert es.step == steps

    @pytest.mark.parametrize(
        "field", ["9" * 200_000, "\0", "1\0", "\udcff", '"', '"1', "x" * 10**6]
    )
    def test_a_row_with_an_invalid_field_has_the_usual_error(self, file, field):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        content = file.read_bytes()
        start = content.index(b"\n1,") + 3
        row = content[start:].partition(b"\n")[0]
        field = field.encode("utf-8", "surrogateescape")
        file.write_bytes(
            content[:start] + field + row[row.index(b",") :] + content[start + len(row) :]
        )
        try:
            assert len(History.read_csv(file)) == 2
        except ValueError as error:
            assert str(error).startswith(f"{file}: ")  # noqa: PT017

    def test_each_row_is_written_at_once(self, file):
        seen = []
        make().run(
            hill,
            max_steps=3,
            callbacks=[CSVLog(file), lambda es, row: seen.append(len(History.read_csv(file)))],
        )
        assert seen == [1, 2, 3]

    def test_a_name_as_text(self, file):
        make().run(hill, max_steps=1, callbacks=CSVLog(str(file)))
        assert len(History.read_csv(str(file))) == 1

    def test_the_next_run_continues(self, file):
        es = make()
        log = CSVLog(file)
        first = es.run(hill, max_steps=3, callbacks=log).history
        second = es.run(hill, max_steps=2, callbacks=log).history
        read = History.read_csv(file)
        np.testing.assert_array_equal(read["step"], np.arange(1, 6))
        np.testing.assert_array_equal(read["mean"], [*first["mean"], *second["mean"]])
        np.testing.assert_allclose(read["seconds"][3:], first["seconds"][-1] + second["seconds"])
        assert (np.diff(read["seconds"]) > 0).all()
        comments = comments_of(file)
        assert file.read_text().startswith("\n".join(comments) + "\n" + ",".join(COLUMNS) + "\n")

    @pytest.mark.parametrize("saved_at", [1, 4])
    def test_from_a_checkpoint_rows_that_follow_it_are_replaced(self, file, tmp_path, saved_at):
        es = make()
        checkpoints = Checkpoints(tmp_path / "cp", every=saved_at, keep=100)
        es.run(hill, max_steps=6, callbacks=[CSVLog(file), checkpoints])
        wanted = list(History.read_csv(file))
        again = PEPG.load_checkpoint(tmp_path / "cp" / f"step_{saved_at:09d}.npz")
        again.run(hill, max_steps=6 - saved_at, callbacks=CSVLog(file))
        assert_same(again, es)
        read = list(History.read_csv(file))
        np.testing.assert_equal(read[:saved_at], wanted[:saved_at])
        seconds = [row.pop("seconds") for row in read]
        assert (np.diff(seconds) > 0).all()
        for row in wanted:
            del row["seconds"]
        np.testing.assert_equal(read, wanted)
        assert len(rows_of(file)) == 6

    @pytest.mark.parametrize("cut", range(1, 60, 7))
    def test_a_row_that_was_cut_short_is_left_out_and_replaced(self, file, cut):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        es.save_checkpoint(file.with_name("checkpoint"))
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        wanted = list(History.read_csv(file))
        content = file.read_bytes()
        file.write_bytes(content[:-cut])
        assert len(History.read_csv(file)) == 2
        es = PEPG.load_checkpoint(file.with_name("checkpoint"))
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        for row in (read := list(History.read_csv(file))) + wanted:
            del row["seconds"]
        np.testing.assert_equal(read, wanted)
        assert len(rows_of(file)) == 3

    def test_a_changed_configuration_is_noted_where_it_begins(self, file):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        before = file.read_text()
        assert len(comments_of(file)) == len(set(comments_of(file)))
        es.population_size = 20
        es.sigma_lr = 0.05
        es.optimizer.alpha = 0.2
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        new = file.read_text().removeprefix(before).splitlines()
        assert [line.split("(")[0] for line in new[:-1]] == [
            "# population_size: 20", "# sigma_lr: 0.05", "# optimizer: Adam"
        ]  # fmt: skip
        assert "alpha=0.2" in new[2]
        assert len(History.read_csv(file)) == 5
        es.run(hill, max_steps=1, callbacks=CSVLog(file))  # what is known now is not noted again
        assert len(file.read_text().removeprefix(before).splitlines()) == 5

    @pytest.mark.parametrize("mu_lr", [0.1, Decay(0.3, 0.5), lambda step: 0.1 / (step + 1)])
    def test_settings_that_only_advance_are_not_noted_as_changed(self, file, mu_lr):
        es = make(mu_lr=mu_lr)
        for _ in range(3):
            es.run(hill, max_steps=2, callbacks=CSVLog(file))
        names = [line.split(":")[0] for line in comments_of(file)]
        assert len(set(names)) == len(names)

    def test_a_new_search_does_not_touch_an_older_file(self, file):
        make().run(hill, max_steps=2, callbacks=CSVLog(file))
        before = file.read_bytes()
        es = make()
        with pytest.raises(FileExistsError, match=r"history\.csv exists, but the search is new"):
            es.run(hill, max_steps=2, callbacks=CSVLog(file))
        assert file.read_bytes() == before
        assert_same(es, make())

    @pytest.mark.parametrize("steps", [0, 2])
    def test_overwrite_replaces_an_older_file(self, file, steps):
        file.write_text("something else")
        es = by_hand(make(), hill, steps)
        es.run(hill, max_steps=3, callbacks=CSVLog(file, overwrite=True))
        np.testing.assert_array_equal(History.read_csv(file)["step"], steps + np.arange(1, 4))

    def test_a_search_that_continues_may_begin_a_file(self, file):
        by_hand(es := make(), hill, 2)
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        np.testing.assert_array_equal(History.read_csv(file)["step"], [3])

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"# population_size: 10\n",
            b"step,loss\n1,2\n",
            b"# A title\n\nand text\n",
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}\xff\xfe",
            bytes(range(256)),
        ],
        ids=["empty", "comments", "other columns", "text", "npy", "bytes"],
    )
    def test_a_file_that_is_not_a_history_is_named_and_left_alone(self, file, content):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"history\.csv: wanted "):
            History.read_csv(file)
        es = by_hand(make(), hill, 1)
        with pytest.raises(ValueError, match=r"history\.csv: wanted "):
            es.run(hill, max_steps=1, callbacks=CSVLog(file))
        assert file.read_bytes() == content
        assert es.step == 1

    def test_a_folder_that_is_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            make().run(hill, max_steps=1, callbacks=CSVLog(tmp_path / "nowhere" / "history.csv"))
        with pytest.raises(FileNotFoundError, match="nowhere"):
            History.read_csv(tmp_path / "nowhere")

    def test_after_an_error_the_file_has_the_rows_so_far(self, file):
        with pytest.raises(EvaluationError):
            make().run(
                lambda x, n=itertools.count(): 1 / (25 - next(n)),
                max_steps=9,
                callbacks=CSVLog(file),
            )
        assert len(History.read_csv(file)) == 2

    def test_pandas_reads_it(self, file):
        pandas = pytest.importorskip("pandas")
        es = make()
        es.run(hill, max_steps=3, callbacks=CSVLog(file))
        es.sigma_lr = 0.2
        es.run(hill, max_steps=3, callbacks=CSVLog(file))
        table = pandas.read_csv(file, comment="#")
        history = History.read_csv(file)
        assert list(table) == list(COLUMNS)
        for name in COLUMNS:
            np.testing.assert_allclose(table[name], history[name], rtol=1e-14)
        assert table["step"].dtype.kind == "i"

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    @pytest.mark.parametrize("cut", ["header", "no row", "in row 1", "row 2", "in row 4", "whole"])
    @pytest.mark.parametrize("rng", [1, None])
    def test_rows_that_the_file_lost_are_restored_from_the_checkpoint(
        self, file, tmp_path, cut, rng
    ):
        es = make(rng=rng)
        es.run(hill, max_steps=7, callbacks=[CSVLog(file), Checkpoints(tmp_path / "c", every=5)])
        wanted, text = rows_of(file), file.read_text()
        ends = [at + 1 for at, letter in enumerate(text) if letter == "\n"][-8:]
        kept = {"header": 30, "no row": ends[0], "in row 1": ends[0] + 3, "row 2": ends[2],
                "in row 4": ends[3] + 20, "whole": ends[7]}[cut]  # fmt: skip
        file.write_text(text[:kept])
        again = PEPG.load_checkpoint(tmp_path / "c" / "step_000000005.npz")
        again.run(hill, max_steps=2, callbacks=CSVLog(file))
        assert_same(again, es)
        rows = rows_of(file)
        for row in (*rows, *wanted):
            del row["seconds"]
        np.testing.assert_equal(rows, wanted)
        assert (np.diff(History.read_csv(file)["seconds"]) >= 0).all()
        assert file.read_text()[: ends[0]] == text[: ends[0]]

    def test_rows_that_no_checkpoint_holds_are_named(self, file, tmp_path, monkeypatch):
        monkeypatch.setattr("pepg_fast.run.log_tail.KEPT", 3)
        es = make()
        es.run(hill, max_steps=8, callbacks=CSVLog(file))
        es.save_checkpoint(tmp_path / "saved.npz")
        text = file.read_text()
        file.write_text(text[: text.index("\n3,") + 1])
        again = PEPG.load_checkpoint(tmp_path / "saved.npz")
        with pytest.warns(UserWarning, match=r"history\.csv: the rows of steps 3 to 5 are lost"):
            again.run(hill, max_steps=1, callbacks=CSVLog(file))
        assert History.read_csv(file)["step"].tolist() == [1, 2, 6, 7, 8, 9]

    def test_steps_without_a_log_are_not_missed(self, file, tmp_path):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        es.run(hill, max_steps=2)
        es.save_checkpoint(tmp_path / "saved.npz")
        PEPG.load_checkpoint(tmp_path / "saved.npz").run(hill, max_steps=1, callbacks=CSVLog(file))
        assert History.read_csv(file)["step"].tolist() == [1, 2, 5]
        es.run(hill, max_steps=2, callbacks=CSVLog(tmp_path / "later.csv"))
        assert History.read_csv(tmp_path / "later.csv")["step"].tolist() == [5, 6]

    @pytest.mark.parametrize("tail", [3, {}, {"header": 1, "rows": 2}, {"header": "x", "rows": np.ones((2, 14))},
                                      {"header": "", "rows": np.full((2, 14), np.nan)}])  # fmt: skip
    def test_a_checkpoint_with_other_rows_than_the_log_is_ignored(self, file, tail):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        es._log_tail = tail
        es.run(hill, max_steps=1, callbacks=CSVLog(file))
        assert History.read_csv(file)["step"].tolist() == [1, 2, 3]

    def test_text_that_no_file_can_hold_is_ignored(self, file):
        es = make()
        es.run(hill, max_steps=2, callbacks=CSVLog(file))
        es._log_tail["header"] = "# note: \ud800\n" + es._log_tail["header"]
        file.write_text("")
        with pytest.raises(ValueError, match=rf"^{re.escape(str(file))}: "):
            es.run(hill, max_steps=1, callbacks=CSVLog(file))

    def test_a_power_cut_takes_fewer_rows_than_checkpoints_hold(self, file, monkeypatch):
        from pepg_fast.run import callbacks, log_tail

        assert callbacks.FLUSHED_EVERY < log_tail.KEPT
        flushed, flush = [], os.fsync
        monkeypatch.setattr(callbacks, "FLUSHED_EVERY", 3)
        monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(0), flush(handle)))
        log, es = CSVLog(file), make()
        seen = []

        def note(es, row):
            seen.append(len(flushed))

        es.run(hill, max_steps=7, callbacks=[log, note])
        assert np.diff(seen).tolist() == [0, 1, 0, 0, 1, 0]

    def test_kill_leaves_a_file_to_continue_with(self, file, tmp_path):
        code = """
            import sys
            from pepg_fast import CSVLog, Checkpoints
            from searches import hill, make

            def ready(es, row):
                if es.step == 50:
                    print("ready", flush=True)

            make().run(hill, max_steps=10**9,
                       callbacks=[CSVLog(sys.argv[1]), Checkpoints(sys.argv[2], every=20), ready])
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(file), str(tmp_path / "cp")]
        environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            try:
                assert child.stdout.readline() == "ready\n"
            finally:
                child.send_signal(signal.SIGKILL)
        steps = History.read_csv(file)["step"]
        assert len(steps) >= 50
        np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
        es = PEPG.load_checkpoint(Checkpoints.latest(tmp_path / "cp"))
        assert 0 < es.step <= steps[-1]
        end = es.step + 30
        es.run(hill, max_steps=30, callbacks=CSVLog(file))
        assert_same(es, by_hand(make(), hill, end))
        np.testing.assert_array_equal(History.read_csv(file)["step"], np.arange(1, end + 1))


class TestCheckpoints:
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "runs" / "checkpoints"

    def steps(self, folder):
        return sorted(int(path.name[5:-4]) for path in folder.glob("step_*.npz"))

    @pytest.mark.parametrize(
        ("options", "steps"),
        [
            ({"every": 1, "keep": 100}, range(1, 8)),
            ({"every": 2, "keep": 100}, [2, 4, 6, 7]),
            ({"every": 2, "keep": 2}, [6, 7]),
            ({"every": 7, "keep": 1}, [7]),
            ({"every": 2, "keep": 1}, [7]),
            ({"every": 100}, [7]),
            ({}, [7]),
        ],
    )
    def test_checkpoints_are_written_every_few_steps_and_at_the_end(self, folder, options, steps):
        make().run(hill, max_steps=7, callbacks=Checkpoints(folder, **options))
        assert self.steps(folder) == list(steps)
        assert len(list(folder.iterdir())) == len(steps)
        assert Checkpoints.latest(folder).name == "step_000000007.npz"

    @pytest.mark.parametrize("every", [1, 3])
    @pytest.mark.parametrize(
        "options",
        [{}, {"dtype": np.float32}, {"rng": np.random.RandomState(3)}],
        ids=["as it is", "float32", "RandomState"],
    )
    def test_the_search_continues_with_the_same_bits(self, folder, every, options):
        es = make(**options)
        es.run(hill, max_steps=7, callbacks=Checkpoints(folder, every=every, keep=100))
        for step in self.steps(folder):
            again = PEPG.load_checkpoint(folder / f"step_{step:09d}.npz")
            assert again.step == step
            again.run(hill, max_steps=7 - step)
            assert_same(again, es)

    @pytest.mark.parametrize("kept", [False, True])
    def test_steps_are_counted_by_the_search_and_not_by_the_run(self, folder, kept):
        es = make(keep_gradient=kept)
        es.run(hill, max_steps=5, callbacks=Checkpoints(folder, every=2))
        for step in self.steps(folder):
            again = PEPG.load_checkpoint(folder / f"step_{step:09d}.npz")
            assert again.keep_gradient is kept
            assert (again.gradient is not None) is kept

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
    @pytest.mark.parametrize("every", [2, 100])
    def test_a_checkpoint_is_written_when_the_run_is_interrupted(self, folder, error, every):
        def evaluate(solution, n=itertools.count()):
            if next(n) == 35:
                raise error
            return hill(solution)

        try:
            result = make().run(evaluate, max_steps=7, callbacks=Checkpoints(folder, every=every))
            assert result.reason == "interrupted"
        except EvaluationError:
            assert error is ValueError
        es = PEPG.load_checkpoint(Checkpoints.latest(folder))
        assert (es.step, es.is_pending) == (3, True)
        es.run(hill, max_steps=4)
        assert_same(es, by_hand(make(), hill, 7))

    def test_a_run_without_steps_leaves_none(self, folder):
        make().run(hill, max_steps=0, callbacks=Checkpoints(folder))
        assert folder.is_dir()
        assert Checkpoints.latest(folder) is None

    def test_the_latest_of_no_folder(self, folder):
        assert Checkpoints.latest(folder) is None
        assert Checkpoints.latest(str(folder)) is None

    def test_the_latest_is_that_of_the_most_steps(self, folder):
        folder.mkdir(parents=True)
        for name in ("step_000000009.npz", "step_000000010.npz", "step_1000000000.npz"):
            (folder / name).touch()
        for name in (
            "step_9999999999.npz.tmp",
            "step_x.npz",
            "step_99.npz",
            "estep_9999999999.npz",
        ):
            (folder / name).touch()
        assert Checkpoints.latest(folder).name == "step_1000000000.npz"

    def test_the_next_run_continues_in_the_folder(self, folder):
        es = make()
        callback = Checkpoints(folder, every=2, keep=3)
        es.run(hill, max_steps=3, callbacks=callback)
        es.run(hill, max_steps=4, callbacks=callback)
        assert self.steps(folder) == [4, 6, 7]
        again = PEPG.load_checkpoint(Checkpoints.latest(folder))
        again.run(hill, max_steps=3, callbacks=Checkpoints(folder, every=2, keep=3))
        assert self.steps(folder) == [7, 8, 10]
        assert_same(again, by_hand(make(), hill, 10))

    def test_a_checkpoint_of_a_later_step_is_never_lost(self, folder):
        make().run(hill, max_steps=5, callbacks=Checkpoints(folder))
        before = Checkpoints.latest(folder).read_bytes()
        for es in (make(), by_hand(make(), hill, 4)):
            twin = by_hand(make(), hill, es.step)
            with pytest.raises(
                FileExistsError, match=r"step_000000005\.npz is of a later step than the search"
            ):
                es.run(hill, max_steps=50, callbacks=Checkpoints(folder))
            assert_same(es, twin)
        assert self.steps(folder) == [5]
        assert Checkpoints.latest(folder).read_bytes() == before

    def test_other_files_are_left_alone(self, folder):
        folder.mkdir(parents=True)
        others = ["notes.txt", "step_1.npz", "step_000000001.npz.bak", "best.npz", "step_a.npz"]
        for name in others:
            (folder / name).write_text(name)
        make().run(hill, max_steps=6, callbacks=Checkpoints(folder, every=1, keep=1))
        assert [(folder / name).read_text() for name in others] == others
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [*others, "step_000000006.npz"]
        )

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"every": 0}, ValueError),
            ({"every": 1.5}, TypeError),
            ({"every": None}, TypeError),
            ({"keep": 0}, ValueError),
            ({"keep": "all"}, TypeError),
        ],
    )
    def test_bad_arguments(self, folder, options, error):
        (name,) = options
        with pytest.raises(error, match=f"{name}: wanted "):
            Checkpoints(folder, **options)
        assert not folder.exists()

    def test_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        es = make()
        with pytest.raises(FileExistsError):
            es.run(hill, max_steps=1, callbacks=Checkpoints(tmp_path / "file"))
        assert es.step == 0

    def test_all_callbacks_together(self, folder, tmp_path):
        pytest.importorskip("tqdm")
        es = make()
        callbacks = [
            Progress(file=io.StringIO()),
            CSVLog(tmp_path / "history.csv"),
            Checkpoints(folder, every=2),
        ]
        result = es.run(hills, vectorized=True, max_steps=5, callbacks=callbacks)
        assert_same(PEPG.load_checkpoint(Checkpoints.latest(folder)), es)
        np.testing.assert_equal(
            list(History.read_csv(tmp_path / "history.csv")), list(result.history)
        )
        assert_same(es, by_hand(make(), hill, 5))


def test_a_log_that_may_overwrite_does_so_once(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("of something else\n")
    log = CSVLog(path, overwrite=True)
    es = make()
    for _ in range(2):
        es.run(hill, max_steps=3, callbacks=log)
    assert History.read_csv(path)["step"].tolist() == [1, 2, 3, 4, 5, 6]


def test_only_true_ends_a_run():
    result = make().run(hill, max_steps=3, callbacks=lambda es, row: row["best"] - 1e9)
    assert result.reason == "max_steps"


class TestFilesOfOtherSearches:
    def test_a_log_of_another_search_is_left_alone(self, tmp_path):
        path = tmp_path / "history.csv"
        make(rng=1).run(hill, max_steps=5, callbacks=CSVLog(path))
        before = path.read_text()
        for other in (make(rng=2), make(rng=1, theta_size=4)):
            other.run(hill, max_steps=2)
            with pytest.raises(
                FileExistsError, match=r"belongs to another search \((noise|theta_size) is"
            ):
                other.run(hill, max_steps=2, callbacks=CSVLog(path))
            assert path.read_text() == before

    def test_the_key_is_logged_even_if_it_is_drawn_late(self, tmp_path):
        path = tmp_path / "history.csv"
        es = make(rng=None)
        es.run(hill, max_steps=2, callbacks=CSVLog(path))
        keys = [line for line in comments_of(path) if line.startswith("# noise: key ")]
        assert len(keys) == 1
        es.run(hill, max_steps=2, callbacks=CSVLog(path))
        assert History.read_csv(path)["step"].tolist() == [1, 2, 3, 4]
        assert [line for line in comments_of(path) if line.startswith("# noise")] == keys

    def test_checkpoints_of_another_search_are_left_alone(self, tmp_path):
        make(rng=1).run(hill, max_steps=5, callbacks=Checkpoints(tmp_path, every=1))
        before = sorted(tmp_path.iterdir())
        for other in (make(rng=2), make(rng=1, theta_size=4)):
            other.run(hill, max_steps=7)
            with pytest.raises(FileExistsError, match="belongs to another search"):
                other.run(hill, max_steps=2, callbacks=Checkpoints(tmp_path))
        assert sorted(tmp_path.iterdir()) == before

    def test_a_replayed_search_continues_in_its_files(self, tmp_path):
        callbacks = [CSVLog(tmp_path / "h.csv"), Checkpoints(tmp_path, every=2)]
        make(rng=np.random.RandomState(3)).run(hill, max_steps=4, callbacks=callbacks)
        es = pepg_fast.PEPG.load_checkpoint(Checkpoints.latest(tmp_path))
        es.run(hill, max_steps=2, callbacks=callbacks)
        assert len(History.read_csv(tmp_path / "h.csv")) == 6


def test_a_log_is_written_before_a_checkpoint_and_despite_an_error(tmp_path):
    seen = []

    class Noted(CSVLog):
        def step(self, es, row):
            super().step(es, row)
            seen.append("log")

    class Kept(Checkpoints):
        def step(self, es, row):
            seen.append("checkpoint")

    def fails(es, row):
        seen.append("function")
        raise KeyError("mine")

    callbacks = [Kept(tmp_path), fails, Noted(tmp_path / "h.csv")]
    with pytest.raises(KeyError, match="mine"):
        make().run(hill, max_steps=3, callbacks=callbacks)
    assert seen == ["log", "function", "checkpoint"]
    assert len(History.read_csv(tmp_path / "h.csv")) == 1


def test_a_callback_that_only_watches_is_not_a_limit(tmp_path):
    for callback in (Progress(disable=True), CSVLog(tmp_path / "h"), Checkpoints(tmp_path)):
        with pytest.raises(ValueError, match="run: wanted one of max_steps"):
            make().run(hill, callbacks=callback)


def test_a_history_names_its_columns_in_errors():
    history = make().run(hill, max_steps=2).history
    assert "mean" in history
    assert "median" not in history
    with pytest.raises(KeyError, match="'median': wanted one of the columns step, "):
        history["median"]


@pytest.mark.parametrize(
    ("call", "module"),
    [
        ("Progress()", "tqdm"),
        ("plot_history(minimize(abs, [0.0], 1.0, max_steps=1))", "matplotlib"),
    ],
)
def test_a_module_that_is_missing_is_named_with_its_extra(call, module):
    code = f"import sys; sys.modules[{module!r}] = None; from pepg_fast import *; {call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    name = call.partition("(")[0]
    assert last == (
        f'ModuleNotFoundError: {name}: wanted {module}, which is not installed: pip install "pepg-fast[run]"'
    )


# ---- a log that fails, or was damaged -----------------------------------------------------------


def test_a_search_whose_first_generation_failed_continues_in_its_log(tmp_path):
    log, es = CSVLog(tmp_path / "history.csv"), make()
    for _ in range(2):
        with pytest.raises(pepg_fast.EvaluationError):
            es.run(lambda x: 1 / 0, max_steps=3, callbacks=log)
    es.run(hill, max_steps=3, callbacks=log)
    assert History.read_csv(tmp_path / "history.csv")["step"].tolist() == [1, 2, 3]
    assert_same(es, by_hand(make(), hill, 3))
    with pytest.raises(FileExistsError, match="exists, but the search is new"):  # rows are not lost
        make().run(hill, max_steps=3, callbacks=log)
    other = CSVLog(tmp_path / "other.csv")
    (tmp_path / "other.csv").touch()  # somebody else's
    with pytest.raises(FileExistsError, match="exists, but the search is new"):
        make().run(hill, max_steps=3, callbacks=other)


@pytest.mark.parametrize("damage", ["", "1,2,3\n", "x" * 99 + "\n"])
def test_a_row_that_is_damaged_with_rows_after_it_is_an_error(tmp_path, damage):
    file = tmp_path / "history.csv"
    es = make()
    es.run(hill, max_steps=5, callbacks=CSVLog(file))
    lines = file.read_text().splitlines(keepends=True)
    lines[-3] = damage or lines[-3][:20] + "\n"
    file.write_text("".join(lines))
    for read in (History.read_csv, lambda file: es.run(hill, max_steps=1, callbacks=CSVLog(file))):
        with pytest.raises(
            ValueError, match=rf"history.csv: wanted a row of 15 numbers in line {len(lines) - 2}"
        ):
            read(file)
    assert file.read_text() == "".join(lines)


@pytest.mark.parametrize("step", ["2", "3", "0", "-1"])
def test_steps_that_do_not_increase_are_an_error(tmp_path, step):
    file = tmp_path / "history.csv"
    es = make()
    es.run(hill, max_steps=5, callbacks=CSVLog(file))
    lines = file.read_text().splitlines(keepends=True)
    lines[-2] = step + lines[-2].removeprefix("4")
    file.write_text("".join(lines))
    for read in (History.read_csv, lambda file: es.run(hill, max_steps=1, callbacks=CSVLog(file))):
        with pytest.raises(
            ValueError,
            match=rf"history.csv: wanted steps that increase, got {step} after 3 in line {len(lines) - 1}",
        ):
            read(file)
    assert file.read_text() == "".join(lines)


@pytest.mark.skipif(os.name != "posix", reason="limits of files")
def test_a_log_that_may_not_grow_is_named(tmp_path):
    program = f"""
        import resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from searches import hill, make
        from pepg_fast import CSVLog
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        make().run(hill, max_steps=1000, callbacks=CSVLog({str(tmp_path / "history.csv")!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"OSError: [Errno 27] File too large: '{tmp_path / 'history.csv'}'"


def test_an_invalid_row_is_not_added_in_part():
    history = History()
    with pytest.raises(TypeError, match="row: wanted a number for each column"):
        history.append({"step": 1, "evaluations": "x"})
    assert len(history) == 0
    assert list(history) == []
    history.append({"step": 1})
    assert len(list(history)) == 1


def test_without_standard_error_no_bar_is_shown(tmp_path):
    pytest.importorskip("tqdm")
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from searches import hill, make
        from pepg_fast import Progress
        assert sys.stderr is None
        make().run(hill, max_steps=3, callbacks=Progress())
        print("done")
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    command = ["sh", "-c", f"exec '{sys.executable}' '{tmp_path / 'program.py'}' 2>&-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "done\n"
