"""The curves that plot.py draws: which runs and tests, from which files, and the name of the picture."""

import numpy as np
import pytest
from factories import save_checkpoint as save

from agent.analysis.curves.learning_curves import curves_path, learning_curves
from agent.analysis.curves.selection import selected_runs
from agent.analysis.plot_params import CurvesParams
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, ParameterError
from utils.storage.results import append_result

PENDULUM, CAR = "Pendulum-v1", "MountainCarContinuous-v0"
ROW = dict(min=-900.0, max=0.0, sem=1.0, starts="", run_id="r1", checkpoint="c", env_step=8, seconds=60.0)


@pytest.fixture
def given(tmp_path):
    """Makes parameters whose folders are in tmp_path."""

    def make(**more):
        roots = {f"{name}_dir": str(tmp_path / name) for name in ("ckpt", "log", "results", "plot")}
        return CurvesParams(**roots | more)

    return make


@pytest.fixture
def add(tmp_path):
    """Adds a score to the results of a run."""

    def add_score(run, step, mean=-100.0, first_seed=1_000_000, episodes=100, env=PENDULUM, **more):
        row = ROW | dict(learner_step=step, mean=mean, first_seed=first_seed, episodes=episodes) | more
        append_result(tmp_path / "results" / env / run, row)

    return add_score


@pytest.fixture
def log(tmp_path):
    """Writes the logs of a run: 40 episodes, and a learner step for each environment step from 1000 on."""

    def write(run):
        folder = tmp_path / "log" / PENDULUM / run
        folder.mkdir(parents=True)
        rows = "".join(f"{1000 + 10 * i},0,{-1000 + i},200,0.3\n" for i in range(40))
        (folder / "agents.csv").write_text("env_step,agent,return,length,noise\n" + rows)
        (folder / "learner.csv").write_text("learner_step,env_step,seconds\n100,1100,5\n400,1400,10\n")

    return write


def drawn(params):
    figure, notes = learning_curves(params)
    (axes,) = figure.axes
    return axes, notes


def lines(axes):
    """The points of each curve with a label of its own."""
    labelled = [line for line in axes.lines if not line.get_label().startswith("_")]
    return {line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in labelled}


def test_a_test_of_three_episodes_does_not_replace_one_of_a_hundred(given, add):
    add("a", 10, -100.0)
    add("a", 20, -120.0)
    add("a", 20, -500.0, first_seed=0, episodes=3)
    axes, notes = drawn(given(run="a"))
    assert lines(axes)["a"] == [(10, -100.0), (20, -120.0)]
    assert axes.get_title() == "Pendulum-v1: mean return of 100 episodes from seeds 1,000,000 to 1,000,099"
    assert notes == ["Not drawn: tests of 3 episodes from seeds 0 to 2 (select them with --first-seed, --episodes, --starts)."]


def test_runs_are_drawn_with_the_same_kind_of_test(given, add):
    for step in (10, 20):
        add("a", step, -100.0)
    for step in (10, 20, 30):
        add("b", step, -200.0, first_seed=0)
    add("b", 30, -300.0)
    add("a", 30, -400.0, first_seed=0)
    axes, _ = drawn(given(runs=("a", "b")))
    assert lines(axes) == {"a": [(30, -400.0)], "b": [(10, -200.0), (20, -200.0), (30, -200.0)]}


def test_among_kinds_with_equally_many_checkpoints_the_watchers_is_drawn(given, add):
    add("a", 10, -1.0, first_seed=0)
    add("a", 10, -2.0)
    axes, _ = drawn(given(run="a"))
    assert lines(axes)["a"] == [(10, -2.0)]


@pytest.mark.parametrize(
    ("choice", "mean"), [({"first_seed": 0}, -2.0), ({"episodes": 7}, -3.0), ({"starts": "data/starts.csv"}, -4.0)]
)
def test_a_kind_can_be_selected(given, add, choice, mean):
    add("a", 10, -1.0)
    add("a", 10, -2.0, first_seed=0)
    add("a", 10, -3.0, episodes=7)
    add("a", 10, -4.0, first_seed="", starts="starts.csv")
    axes, _ = drawn(given(run="a", **choice))
    assert lines(axes)["a"] == [(10, mean)]


def test_a_kind_that_does_not_exist_is_a_sentence_with_those_that_do(given, add):
    add("a", 10)
    with pytest.raises(ParameterError, match="there are tests of 100 episodes from seeds 1,000,000 to 1,000,099"):
        learning_curves(given(run="a", first_seed=7))


def test_training_returns_are_drawn_without_a_watcher(given, log):
    log("")
    axes, notes = drawn(given())
    (label, points), *_ = lines(axes).items()
    assert label == "training episodes, with exploration noise (mean of 10)"
    assert points[0] == pytest.approx((45, -995.5))  # the mean of episodes 0 to 9, at learner steps 0 to 90
    assert axes.get_title() == "Pendulum-v1: training"
    assert notes == ["There are no test scores; test_every_new_ckpt.py makes them."]
    with pytest.raises(CheckpointError, match="no data to draw"):
        learning_curves(given(training=False))


# ---- which runs


def names(params):
    return [run.name for run in selected_runs(params)]


def test_patterns_name_the_runs_with_scores_logs_or_checkpoints(given, add, log, tmp_path):
    add("seed10", 10)
    log("seed2")
    save(tmp_path / "ckpt" / PENDULUM / "seed1" / "Pendulum-v1.ckpt-10", EnvSpec(PENDULUM).make())
    save(tmp_path / "ckpt" / PENDULUM / "before-2026" / "Pendulum-v1.ckpt-10", EnvSpec(PENDULUM).make())
    add("other", 10)
    add("shipped", 10)
    assert names(given(runs=("seed*",))) == ["seed1", "seed2", "seed10"]
    assert names(given(runs=("*",))) == ["other", "seed1", "seed2", "seed10"]
    assert names(given(runs=("other", "seed?", "seed1"))) == ["other", "seed1", "seed2"]
    assert names(given(run="seed10", runs=("other",))) == ["seed10", "other"]
    assert names(given()) == [""]


@pytest.mark.parametrize("wanted", [{"run": "sed1"}, {"runs": ("seed1", "sed1")}, {"runs": ("x*",)}])
def test_an_unknown_run_is_an_error_that_names_the_known_ones(given, add, wanted):
    add("seed1", 10)
    with pytest.raises(CheckpointError, match=r"there is no run (sed1|x\*) of Pendulum-v1; the runs are: seed1\."):
        learning_curves(given(**wanted))


# ---- the mean


def test_runs_without_a_learner_step_in_common_have_no_mean(given, add):
    add("a", 10)
    add("b", 20)
    with pytest.raises(ParameterError, match="no common learner step"):
        learning_curves(given(runs=("a", "b"), mean=True))


def test_a_mean_over_different_parameters_is_refused_and_they_are_named(given, add, tmp_path):
    for run, tau, seed in (("a", 0.005, 1), ("b", 0.01, 2)):
        add(run, 10)
        settings = {"tau": tau, "random_seed": seed, "run": run, "batch_size": 256}
        save(tmp_path / "ckpt" / PENDULUM / run / "Pendulum-v1.ckpt-10", EnvSpec(PENDULUM).make(), params=settings)
    with pytest.raises(ParameterError, match=r"different parameters \(tau: 0.005 in a, 0.01 in b\)"):
        learning_curves(given(runs=("a", "b"), mean=True))
    axes, _ = drawn(given(runs=("a", "b")))
    assert {"a", "b"} <= set(lines(axes))


def test_each_variant_is_the_mean_of_its_own_runs(given, add, tmp_path):
    for run, mean in (("auto-seed1", -100.0), ("auto-seed2", -200.0), ("preset-seed1", -300.0), ("preset-seed2", -500.0)):
        add(run, 10, mean)
        save(tmp_path / "ckpt" / PENDULUM / run / f"{PENDULUM}.ckpt-10", EnvSpec(PENDULUM).make(), params={"tau": mean < -200})
    params = given(variants=("auto-*", "preset-*"), original=False)
    axes, _ = drawn(params)
    found = {label.split(":")[0]: points for label, points in lines(axes).items() if "mean of 2 runs" in label}
    assert found == {"auto": [(10.0, -150.0)], "preset": [(10.0, -400.0)]}
    assert curves_path(params).name == "curves.auto-seed1+auto-seed2+preset-seed1+preset-seed2.variants.png"


def test_runs_of_one_variant_have_the_same_parameters_and_no_mean_besides(given, add, tmp_path):
    for run in ("a1", "a2"):
        add(run, 10)
        save(tmp_path / "ckpt" / PENDULUM / run / f"{PENDULUM}.ckpt-10", EnvSpec(PENDULUM).make(), params={"tau": run})
    with pytest.raises(ParameterError, match="trained with different parameters"):
        drawn(given(variants=("a*",)))
    for more in ({"mean": True}, {"runs": ("a1",)}):
        with pytest.raises(ParameterError, match="go with neither --runs nor --mean"):
            drawn(given(variants=("a1",), **more))


def test_a_variant_without_scores_has_no_mean(given, add, log):
    add("a1", 10)
    log("b1")
    with pytest.raises(ParameterError, match="no scores of this kind of b1"):
        learning_curves(given(variants=("a*", "b*")))


# ---- variants over several environments


@pytest.fixture
def two_variants(add):
    """Scores of a and b, two runs each, from -1000 to 0 on Pendulum and from 0 to 100 on the car."""
    add("a1", 10, -1000.0)
    for run, pendulum, car in (("a1", -200.0, 100.0), ("a2", 0.0, 60.0), ("b1", -100.0, 50.0), ("b2", -600.0, 0.0)):
        add(run, 20, pendulum)
        add(run, 20, car, env=CAR)
    add("a1", 20, -5000.0, first_seed=0)  # of another kind


def test_variants_are_compared_by_the_interquartile_mean_of_normalised_final_scores(given, two_variants):
    figure, notes = learning_curves(given(variants=("a*", "b*"), envs=("Pendulum-v0", CAR)))
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == [PENDULUM, CAR]
    assert notes[0].startswith("Pendulum-v1: Not drawn: tests of 100 episodes from seeds 0 to 99")
    assert notes[1] == f"Interquartile mean of the normalised final scores over Pendulum-v1, {CAR}:"
    assert notes[2].startswith("a: 0.900, 95 % interval ")  # of 0.6, 0.8, 1 and 1
    assert notes[2].endswith(", 2 + 2 runs")
    assert notes[3].startswith("b: 0.450, 95 % interval ")  # of 0, 0.4, 0.5 and 0.9
    assert len(notes) == 4


def test_pairs_draw_each_variant_beside_the_first_with_a_column_for_each_environment(given, add, two_variants):
    add("c1", 20, -300.0)
    add("c1", 20, 10.0, env=CAR)
    params = given(variants=("a*", "b*", "c*"), envs=(PENDULUM, CAR), pairs=True, original=False)
    figure, notes = learning_curves(params)
    found = [[text.get_text() for text in axes.get_legend().get_texts()][:2] for axes in figure.axes]
    assert found == [["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"]]
    upper = figure.axes[1]
    values = {line.get_ydata()[0] for line in upper.lines}
    assert {100.0, 60.0, 80.0} <= values  # the runs of a, and their mean
    assert {50.0, 0.0, 25.0} <= values  # those of b
    assert upper.get_title().startswith(f"{CAR}: mean return of 100\nepisodes")
    assert notes[-1].startswith("c: ")
    assert curves_path(params).name.endswith(".variants.pairs.png")


def test_pairs_need_two_variants(given, add):
    add("a", 10)
    for more in ({}, {"variants": ("a",)}):
        with pytest.raises(ParameterError, match="it needs two or more patterns after --variants"):
            learning_curves(given(pairs=True, **more))


def test_variants_are_compared_by_the_area_under_each_curve(given, add):
    for run, scores in (("a1", (0, 100, 100)), ("a2", (0, 50, 50)), ("b1", (0, 0, 40))):
        for step, score in zip((10, 20, 40), scores, strict=True):
            add(run, step, float(score))
    add("b1", 30, -1000.0)  # no score of the others
    _, notes = learning_curves(given(variants=("a*", "b*")))
    assert notes == [
        "Pendulum-v1: mean score from learner step 10 to 40 (area under the curve), run by run:",
        "Pendulum-v1: a: 62.5 (83.3, 41.7)",
        "Pendulum-v1: b: 13.3 (13.3)",
    ]


def test_final_scores_of_different_learner_steps_are_compared_and_said(given, add, two_variants):
    add("b3", 30, -100.0)
    add("b3", 30, 50.0, env=CAR)
    figure, notes = learning_curves(given(variants=("b[12]", "b3"), envs=(PENDULUM, CAR)))
    assert "Pendulum-v1: the final scores are from learner steps 20 to 30." in notes
    assert notes[-1] == "b3: 1.000, no interval, since an environment has a single run, 1 + 1 runs"
    _, notes = learning_curves(given(variants=("b*",), envs=(PENDULUM,)))
    assert "Pendulum-v1: A mean of runs without a common learner step is not drawn." in notes
    assert notes[-1].startswith("b: 0.667, ")  # of 0, 1 and 1


def test_final_scores_are_those_of_the_last_learner_step_that_all_runs_have(given, add, two_variants):
    add("a1", 30, 4000.0)
    add("a2", 40, -5000.0)
    _, notes = learning_curves(given(variants=("a*", "b*"), envs=(PENDULUM, CAR)))
    assert "Pendulum-v1: the final scores are those of learner step 20, the last that all runs have." in notes
    assert [note.split(",")[0] for note in notes[-2:]] == ["a: 0.900", "b: 0.450"]  # as without the later ones


def test_last_step_cuts_curves_and_comparisons(given, add, log):
    log("a")
    for step, score in ((40, 1.0), (60, 2.0), (80, 9.0)):
        add("a", step, score)
        add("b", step, 0.0)
    axes, _ = drawn(given(run="a", last_step=60))
    scores, training = lines(axes)["a"], lines(axes)["training episodes, with exploration noise (mean of 10)"]
    assert [step for step, _ in scores] == [40, 60]
    assert [step for step, _ in training] == pytest.approx([45, 55])  # of episodes 0 to 9 and 1 to 10
    _, notes = learning_curves(given(variants=("a", "b"), last_step=60))
    assert notes[1:] == ["Pendulum-v1: a: 1.5 (1.5)", "Pendulum-v1: b: 0.0 (0.0)"]


def test_the_kind_with_most_checkpoints_until_the_last_step_is_drawn(given, add):
    add("a", 10, 1.0)
    for step in (10, 20, 30):
        add("a", step, 2.0, first_seed=0)
    add("a", 5, 1.0)
    axes, _ = drawn(given(run="a", last_step=15))
    assert lines(axes)["a"] == [(5, 1.0), (10, 1.0)]


def test_a_comparison_needs_variants_runs_of_each_and_scores_that_differ(given, add, two_variants):
    with pytest.raises(ParameterError, match="go with --variants only"):
        learning_curves(given(runs=("a1",), envs=(CAR,)))
    with pytest.raises(CheckpointError, match=r"there is no run c\* of MountainCarContinuous-v0"):
        learning_curves(given(variants=("a*", "c*"), envs=(CAR,)))
    with pytest.raises(ParameterError, match="all scores of MountainCarContinuous-v0 are 100, so they cannot be normalised"):
        learning_curves(given(variants=("a1",), envs=(CAR,)))


def test_a_picture_of_several_environments_is_named_after_them(given, two_variants, tmp_path):
    path = curves_path(given(variants=("a*", "b1"), envs=("Pendulum-v0", CAR)))
    assert path == tmp_path / "plot" / f"curves.Pendulum-v1+{CAR}+a1+a2+b1.variants.png"


def test_the_band_of_a_mean_stays_within_the_returns_of_episodes(given, add):
    for run, mean in (("a", -1.0), ("b", -300.0)):
        add(run, 10, mean)
        add(run, 20, mean)
    axes, _ = drawn(given(runs=("a", "b"), mean=True))
    (band,) = axes.collections
    ends = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
    assert (ends.min(), ends.max()) == (-900.0, 0.0)  # Student's interval reaches from -2050 to 1749


# ---- the name of the picture


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "curves.png"),
        ({"run": "a"}, "a/curves.png"),
        ({"runs": ("a",), "x": "minutes"}, "a/curves.minutes.png"),
        ({"runs": ("a", "b")}, "curves.a+b.png"),
        ({"runs": ("*",), "mean": True}, "curves.a+b.mean.png"),
        ({"run": "a", "first_seed": 0, "episodes": 3}, "a/curves.seed-0.3-episodes.png"),
        ({"run": "a", "starts": "data/legacy.csv"}, "a/curves.legacy.png"),
        ({"run": "a", "last_step": 10}, "a/curves.until-10.png"),
    ],
)
def test_pictures_of_other_runs_or_options_have_other_names(given, add, tmp_path, more, name):
    add("a", 10)
    add("b", 10)
    assert curves_path(given(**more)) == tmp_path / "plot" / PENDULUM / name


def test_the_name_of_a_picture_of_many_runs_is_short_and_different_for_each_set(given, add):
    runs = tuple(f"a-long-name-{i}" for i in range(30))
    for run in runs:
        add(run, 10)
    path, other = curves_path(given(runs=runs)), curves_path(given(runs=runs[:-1]))
    assert path != other
    assert len(path.name) < 120


def test_out_names_the_picture(given, tmp_path):
    assert curves_path(given(out="here.png")).as_posix() == "here.png"
    with pytest.raises(ParameterError, match=r"must end with .png; got here.pdf"):
        curves_path(given(out="here.pdf"))
