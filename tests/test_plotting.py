"""Pictures of a run."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from searches import hill, make

from pepg_fast import CSVLog, History, plot_histories, plot_history
from pepg_fast.run.history import COLUMNS

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def without_a_screen():
    """Draw figures without a window, and close them afterward."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


@pytest.fixture
def result():
    return make().run(lambda x: (hill(x), 7), max_steps=6, center_every=2)


def history_of(n=5, **columns) -> History:
    """Return a history with these columns, and with the other columns of a run."""
    history = History()
    usual = {name: np.ones(n) for name in COLUMNS} | {"step": np.arange(1.0, n + 1)}
    usual |= {"center": np.full(n, np.nan)}
    for values in zip(*(usual | columns).values(), strict=True):
        history.append(dict(zip(usual, map(float, values), strict=True)))
    return history


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def drawn(figure):
    """Draw the figure as a window or a file would, because many things are computed only then."""
    figure.canvas.draw()
    return figure


class TestSources:
    def test_a_result_a_history_and_a_file(self, tmp_path):
        file = tmp_path / "history.csv"
        result = make().run(hill, max_steps=6, callbacks=CSVLog(file))
        pictures = []
        for source in (result, result.history, file, str(file)):
            figure = drawn(plot_history(source))
            pictures.append(np.asarray(figure.canvas.buffer_rgba()).copy())
        for picture in pictures[1:]:
            np.testing.assert_array_equal(picture, pictures[0])

    @pytest.mark.parametrize("source", [None, 3, {"step": [1]}, [1.0, 2.0], make()])
    def test_sources_that_are_refused(self, source):
        with pytest.raises(
            TypeError, match="source: wanted a Result, a History or the name of a CSV file, got"
        ):
            plot_history(source)

    def test_a_history_without_a_step_is_refused(self, tmp_path):
        file = tmp_path / "history.csv"
        result = make().run(hill, max_steps=0, callbacks=CSVLog(file))
        for source in (result, History(), file):
            with pytest.raises(ValueError, match="source: wanted a history of at least one step"):
                plot_history(source)

    def test_a_file_that_is_missing_or_not_a_history(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            plot_history(tmp_path / "history.csv")
        (tmp_path / "notes.txt").write_text("notes")
        with pytest.raises(ValueError, match=r"notes\.txt: wanted the columns"):
            plot_history(tmp_path / "notes.txt")


class TestSeveralRuns:
    def test_sources_that_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="sources: wanted at least one run, got none"):
            plot_histories({})
        with pytest.raises(ValueError, match=r"sources: .* at least one step, empty has none"):
            plot_histories({"empty": History()})

    def test_figures(self, result, tmp_path):
        figure = plot_histories({"a": result, "b": result}, filename=tmp_path / "both.png")
        assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
        assert plot_histories({"a": result}, figure=figure) is figure
        (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
        assert [text.get_text() for text in legend.get_texts()] == ["a"]


class TestAxes:
    @pytest.mark.parametrize(
        ("x", "label"),
        [
            ("step", "step"),
            ("evaluations", "evaluations"),
            ("interactions", "interactions (simulator steps)"),
            ("seconds", "time (s)"),
        ],
    )
    def test_quantities_of_the_horizontal_axis(self, result, x, label):
        figure = drawn(plot_history(result, x=x))
        *_, last = figure.axes
        assert last.get_xlabel() == label
        for axes in figure.axes:
            for line in axes.get_lines():
                assert np.isin(line.get_xdata(), result.history[x]).all()

    @pytest.mark.parametrize("x", ["steps", "mean", "", None, 3])
    def test_unknown_quantities_of_the_horizontal_axis_are_refused(self, result, x):
        with pytest.raises(
            ValueError, match="x: wanted 'step', 'evaluations', 'interactions' or 's"
        ):
            plot_history(result, x=x)

    def test_interactions_that_were_not_reported(self):
        drawn(plot_history(make().run(hill, max_steps=3), x="interactions"))

    def test_labels_have_units(self, result):
        fitness, sigma, gradient = plot_history(result).axes
        assert fitness.get_ylabel() == "fitness"
        assert sigma.get_ylabel() == "sigma\n(parameter units)"
        assert gradient.get_ylabel() == "length of g_mu\n(parameter units)"

    def test_lengths_are_logarithmic_and_fitness_is_not(self, result):
        scales = [axes.get_yscale() for axes in plot_history(result).axes]
        assert scales == ["linear", "log", "log"]

    @pytest.mark.parametrize(
        ("least", "spread"),
        [(1.0, 1.0), (3e-7, 1.0 + 1e-9), (1.0, 1.5), (3e-7, 9.0), (1.0, 300.0), (3e-7, 1e12)],
    )
    @pytest.mark.parametrize("has_zero", [False, True])
    def test_numbers_on_a_logarithmic_axis_are_written_out(self, spread, least, has_zero):
        values = np.geomspace(least, least * spread, 5)
        values[2] *= not has_zero
        names = ["gradient_norm", "best", "mean", "best_fitness"]
        if not has_zero:
            names += [
                f"sigma_{name}" for name in ("smallest", "lower", "median", "upper", "largest")
            ]
        history = history_of(**dict.fromkeys(names, values))
        fitness, sigma, gradient = drawn(plot_history(history, fitness_scale="log")).axes
        figures = [fitness, gradient]
        if not has_zero:
            figures += [sigma, drawn(plot_histories({"one": history})).axes[-1]]
        for axes in figures:
            shown = self._numbers(axes)
            assert len(set(shown)) >= 3
            assert all(number >= 0 for number in shown)
            assert (0.0 in shown) == has_zero
            if has_zero:
                assert axes.get_ylim()[0] <= 0

    def _numbers(self, axes):
        low, high = axes.get_ylim()
        ticks = zip(
            [*axes.get_yticks(), *axes.get_yticks(minor=True)],
            [*axes.get_yticklabels(), *axes.get_yticklabels(minor=True)],
            strict=True,
        )
        shown = [label.get_text() for at, label in ticks if low <= at <= high]
        return [float(text.replace("\N{MINUS SIGN}", "-")) for text in shown if text]

    def test_a_title(self, result):
        assert plot_history(result, title="Hill").axes[0].get_title(loc="left") == "Hill"
        assert plot_history(result).axes[0].get_title(loc="left") == ""


class TestLines:
    def test_fitness(self, result):
        axes, history = plot_history(result).axes[0], result.history
        lines = lines_of(axes)
        assert list(lines) == [
            "best of the generation", "best so far", "mean of the generation", "center"
        ]  # fmt: skip
        for label, name in [
            ("best of the generation", "best"),
            ("best so far", "best_fitness"),
            ("mean of the generation", "mean"),
        ]:
            np.testing.assert_array_equal(lines[label].get_ydata(), history[name])
        np.testing.assert_array_equal(lines["center"].get_xdata(), [2, 4, 6])
        np.testing.assert_array_equal(lines["center"].get_ydata(), history["center"][1::2])
        shown = [text.get_text() for text in axes.get_legend().get_texts()]
        assert shown == list(lines)

    def test_the_center_has_no_points_where_it_was_not_evaluated(self):
        figure = plot_history(make().run(hill, max_steps=2))
        assert "center" not in lines_of(figure.axes[0])

    def test_sigma_and_gradient(self, result):
        _, sigma, gradient = plot_history(result).axes
        np.testing.assert_array_equal(
            lines_of(sigma)["median"].get_ydata(), result.history["sigma_median"]
        )
        assert [band.get_label() for band in sigma.collections] == ["all", "middle half"]
        (line,) = gradient.get_lines()
        np.testing.assert_array_equal(line.get_ydata(), result.history["gradient_norm"])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_fitness_that_is_not_finite_is_a_gap(self, bad):
        values = np.array([1.0, 2.0, bad, 4.0, 5.0])
        history = history_of(best=values, mean=values, worst=values, best_fitness=values)
        figure = drawn(plot_history(history))
        for line in figure.axes[0].get_lines():
            np.testing.assert_array_equal(
                line.get_ydata(), np.where(np.isfinite(values), values, np.nan)
            )
        assert figure.axes[0].get_ylim()[1] < 10

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_only_values_that_are_not_finite(self, bad):
        values = np.full(5, bad)
        drawn(plot_history(history_of(best=values, mean=values, best_fitness=values)))

    def test_a_center_that_is_not_finite(self):
        center = [np.nan, np.inf, 3.0, np.nan, -np.inf]
        figure = drawn(plot_history(history_of(center=center)))
        np.testing.assert_array_equal(lines_of(figure.axes[0])["center"].get_ydata(), [3.0])

    @pytest.mark.parametrize("steps", [1, 2])
    @pytest.mark.parametrize("x", ["step", "evaluations", "interactions", "seconds"])
    def test_few_steps(self, steps, x):
        drawn(plot_history(make().run(hill, max_steps=steps), x=x))

    @pytest.mark.parametrize(
        ("norm", "scale"),
        [
            ([0.0] * 5, "linear"),
            ([np.nan] * 5, "linear"),
            ([0.0, 1.0, 0.0, 2.0, np.nan], "symlog"),
            ([1e-100, 1.0, 1e100, 1.0, 1.0], "log"),
        ],
    )
    def test_gradients(self, norm, scale):
        figure = drawn(plot_history(history_of(gradient_norm=norm)))
        assert figure.axes[2].get_yscale() == scale

    def test_a_run_that_learned_nothing(self):
        drawn(plot_history(make(l2_coeff=0.0).run(lambda x: 0.0, max_steps=3)))

    def test_a_sigma_that_fell_to_its_least(self):
        with pytest.warns(UserWarning, match="sigma was at its minimum"):
            result = make(sigma_lr=50.0, population_size=4).run(hill, max_steps=60)
        drawn(plot_history(result))


class TestFigures:
    def test_a_given_figure_is_used(self, result):
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots()
        for _ in range(2):
            assert plot_history(result, figure=figure) is figure
            assert len(figure.axes) == 3

    def test_a_given_subfigure_is_used(self, result):
        from matplotlib import pyplot

        left, right = pyplot.figure(layout="constrained").subfigures(1, 2)
        for part in (left, right):
            assert plot_history(result, figure=part) is part
            assert len(part.axes) == 3

    def test_without_a_name_pyplot_shows_the_figure(self, result):
        from matplotlib import pyplot

        figure = plot_history(result)
        assert pyplot.figure(figure.number) is figure

    def test_a_notebook_shows_it_once(self, result, monkeypatch):
        """A notebook shows the result of a cell, and the figures that pyplot has open."""
        from matplotlib import pyplot

        monkeypatch.setattr(matplotlib, "get_backend", lambda: "inline")
        plot_history(result)
        assert not pyplot.get_fignums()

    @pytest.mark.parametrize(
        ("name", "begins"), [("run.png", b"\x89PNG"), ("run.svg", b"<?xml"), ("run.pdf", b"%PDF")]
    )
    def test_files(self, result, tmp_path, name, begins):
        from matplotlib import pyplot

        figure = plot_history(result, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)
        assert len(figure.axes) == 3
        assert pyplot.get_fignums() == []

    def test_a_given_figure_in_a_file(self, result, tmp_path):
        from matplotlib import pyplot

        figure = pyplot.figure()
        assert plot_history(result, str(tmp_path / "run.png"), figure=figure) is figure
        assert (tmp_path / "run.png").stat().st_size > 1000

    def test_a_format_that_is_unknown(self, result, tmp_path):
        with pytest.raises(ValueError, match="xyz"):
            plot_history(result, tmp_path / "run.xyz")

    def test_a_file_needs_no_pyplot(self, tmp_path):
        code = """
            import sys
            from pepg_fast import PEPG, plot_history
            assert "matplotlib" not in sys.modules
            es = PEPG(10, 3, 0.0, 1.0, 0.1, 0.1)
            plot_history(es.run(lambda x: x[0], max_steps=3), sys.argv[1])
            assert "matplotlib.figure" in sys.modules
            assert "matplotlib.pyplot" not in sys.modules
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "run.png")]
        subprocess.run(command, check=True)
        assert (tmp_path / "run.png").exists()


class TestFiles:
    def test_a_picture_that_fails_leaves_the_old_one(self, result, tmp_path, monkeypatch):
        from matplotlib.figure import Figure

        plot_history(result, tmp_path / "curve.png")
        before = (tmp_path / "curve.png").read_bytes()

        def halfway(self, output, **options):
            output.write(b"half")
            raise RuntimeError("no font")

        monkeypatch.setattr(Figure, "savefig", halfway)
        for plot in (lambda: plot_history(result, tmp_path / "curve.png"),
                     lambda: plot_histories({"one": result}, tmp_path / "curve.png")):  # fmt: skip
            with pytest.raises(RuntimeError, match="no font"):
                plot()
        assert (tmp_path / "curve.png").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]

    @pytest.mark.parametrize(
        ("name", "begins"),
        [
            ("a.png", b"\x89PNG"),
            ("a.svg", b"<?xml"),
            ("a.pdf", b"%PDF"),
            ("a", b"\x89PNG"),
            ("a.", b"\x89PNG"),
        ],
    )
    def test_the_format_follows_from_the_name(self, result, tmp_path, name, begins):
        plot_history(result, tmp_path / name)
        (written,) = tmp_path.iterdir()
        assert written.name == ("a.png" if name in ("a", "a.") else name)
        assert written.read_bytes().startswith(begins)

    def test_an_unknown_format_is_reported(self, result, tmp_path):
        with pytest.raises(
            ValueError, match=r"wanted a name that ends in one of .*png.*, got .*a\.xyz"
        ):
            plot_history(result, tmp_path / "a.xyz")
        assert not list(tmp_path.iterdir())

    def test_pages_of_a_file_are_written_to(self, result, tmp_path):
        from matplotlib.backends.backend_pdf import PdfPages

        with (
            matplotlib.rc_context({"savefig.format": "pdf"}),
            PdfPages(tmp_path / "a.pdf") as pages,
        ):
            plot_history(result, pages)
            plot_histories({"one": result}, pages)
        assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")

    def test_a_file_that_is_open_is_written_to(self, result, tmp_path):
        with open(tmp_path / "a.png", "wb") as file:
            plot_history(result, file)
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("size", [1.7e308, 3.4e307, 1e200])
@pytest.mark.filterwarnings("error")
def test_numbers_beyond_any_axis_are_gaps(size, tmp_path):
    columns = {
        name: np.array([-size, size, 1.0, 2.0, 3.0])
        for name in ("best", "mean", "worst", "best_fitness", "center")
    }
    columns |= {f"sigma_{name}": np.array([size, size, 1.0, 2.0, 3.0]) for name in
                ("smallest", "lower", "median", "upper", "largest")}  # fmt: skip
    history = history_of(gradient_norm=np.array([size, 1.0, 2.0, 3.0, size]), **columns)
    plot_history(history, tmp_path / "one.png")
    plot_histories({"one": history}, tmp_path / "all.png")
    everything_huge = history_of(**{name: np.full(5, size) for name in columns})
    plot_history(everything_huge, tmp_path / "huge.png")
    plot_histories({"one": everything_huge}, tmp_path / "all-huge.png")
