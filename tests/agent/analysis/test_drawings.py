"""The drawings of a run, whatever is there of it: nothing, one checkpoint, several, text alone, no matplotlib."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factories import save_checkpoint as save
from pages import measured, needs_a_browser, problems
from PIL import Image

from agent.analysis import drawings as plots
from agent.analysis.plot_params import AnimationParams, CurvesParams, MapsParams, ReportParams, SupportParams
from agent.analysis.report import write_report
from agent.analysis.state_slice import observation_names
from agent.analysis.support import visited
from agent.loading import load_checkpoint
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, ParameterError
from utils.media.figures import png
from utils.media.video import HOLD
from utils.storage.results import append_result

ROOT = Path(__file__).resolve().parents[3]
PENDULUM = "Pendulum-v1"
ENTRY = dict(min=-2.0, max=0.0, episodes=10, first_seed=0, starts="", run_id="r1", checkpoint="c", env_step=8, seconds=60.0)


class Place:
    """The folders of a run, and parameters that point there."""

    def __init__(self, folder):
        self.folder = folder
        roots = dict(ckpt_dir="ckpts", log_dir="logs", results_dir="results", plot_dir="plots")
        self.given = {name: str(folder / root) for name, root in roots.items()} | {"max_ep_length": 12}

    def params(self, cls, **more):
        given = {name: value for name, value in self.given.items() if name in cls.__dataclass_fields__}
        return cls(**(given | more))

    def checkpoints(self, *steps, env_id=PENDULUM, run=""):
        env = EnvSpec(env_id).make()
        for step in steps:
            save(self.folder / "ckpts" / env_id / run / f"{env_id}.ckpt-{step}", env)
        return self

    def scores(self, *steps, env_id=PENDULUM, text_only=False):
        path = self.folder / "results" / env_id
        for step in steps:
            append_result(path, ENTRY | dict(learner_step=step, mean=-100.0 / step, sem=1.0))
        if text_only:
            path.with_name(f"{env_id}.csv").unlink()
        return self

    def log(self, above=0.0):
        path = self.folder / "logs" / PENDULUM / "learner.csv"
        path.parent.mkdir(parents=True)
        columns = "learner_step,env_step,seconds,updates_per_s,env_steps_per_s,critic_loss,target_mass_below,target_mass_above"
        path.write_text(columns + "".join(f"\n{step},{8 * step},{step},100,800,3.5,0,{above}" for step in (10, 20)) + "\n")
        return self


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("x", ["learner_step", "minutes"])
def test_without_data_the_error_is_a_sentence(place, x):
    with pytest.raises(CheckpointError, match=f"no data to draw by {x}: no test scores in .*Pendulum-v1.csv"):
        plots.curves(place.params(CurvesParams, x=x))


@pytest.mark.parametrize("text_only", [False, True])
@pytest.mark.parametrize("steps", [(10,), (10, 20)])
def test_one_score_or_several_or_the_originals_lines_alone_are_a_curve(place, steps, text_only):
    drawing = plots.curves(place.scores(*steps, text_only=text_only).params(CurvesParams))
    assert drawing.notes == []
    (axes,) = drawing.figure.axes
    assert list(axes.lines[-1].get_xdata()) == list(steps)


def test_the_solved_line_is_the_environments_own_unless_one_is_given(place):
    place.scores(10, env_id="LunarLanderContinuous-v3")
    for given, shown in ((None, 200), (150.0, 150)):
        drawing = plots.curves(place.params(CurvesParams, env="LunarLanderContinuous-v3", solved=given))
        assert f"solved ({shown})" in [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize("cls", [MapsParams, SupportParams, ReportParams])
def test_a_run_without_a_checkpoint_is_a_sentence(place, cls):
    draw = {MapsParams: plots.maps, SupportParams: plots.support}.get(cls, lambda params: write_report(params, Path("never")))
    with pytest.raises(CheckpointError, match="is nowhere the name of the run"):
        draw(place.params(cls, run="nowhere"))


def test_without_a_checkpoint_the_shipped_one_is_drawn_and_reported(place):
    drawing = plots.maps(place.params(MapsParams, resolution=5))
    assert "this is the shipped" in drawing.notes[0]


@pytest.mark.parametrize("steps", [(10,), (10, 20, 30)])
def test_the_support_of_one_checkpoint_or_of_several(place, steps):
    drawing = plots.support(place.checkpoints(*steps).log().params(SupportParams))
    assert len(png(drawing.figure)) > 10_000
    assert drawing.notes == []


def test_a_support_that_is_too_narrow_is_reported(place):
    drawing = plots.support(place.checkpoints(10).log(above=0.2).params(SupportParams))
    assert drawing.notes == ["20% of the target mass lies above the support: raise v_max (now 0)."]


@pytest.mark.parametrize("scores", [(), (10, 20)])
def test_the_animation_has_its_frames_for_each_checkpoint(place, tmp_path, scores):
    params = place.checkpoints(10, 20).scores(*scores).params(AnimationParams, resolution=5)
    recording, _ = plots.animation(params, tmp_path / "film.gif")
    recording.save()
    with Image.open(tmp_path / "film.gif") as image:
        assert image.size == (960, 760)
        seconds = sum(image.seek(i) or image.info["duration"] for i in range(image.n_frames)) / 1000
    assert seconds == pytest.approx(2 * plots.FRAMES_EACH / plots.FPS + HOLD, abs=0.05)  # frames that are equal become one


def test_the_animation_shows_at_most_num_ckpts_checkpoints(place, tmp_path):
    params = place.checkpoints(*range(10, 100, 10)).params(AnimationParams, resolution=3, num_ckpts=1)
    recording, _ = plots.animation(params, tmp_path / "film.gif")
    assert len(recording._frames) == plots.FRAMES_EACH


def test_two_observed_dimensions_over_the_range_that_the_policy_visits(place):
    lander = "LunarLanderContinuous-v3"
    params = place.checkpoints(10, env_id=lander).params(MapsParams, env=lander, resolution=5, x_dim=3, y_dim=0, action_dim=1)
    drawing = plots.maps(params)
    axes = drawing.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("vertical speed", "horizontal position")
    assert axes.get_xlim()[0] > -10
    assert "side engine" in " ".join(axes.get_ylabel() for axes in drawing.figure.axes)


def test_the_maps_of_another_environment_show_the_two_dimensions_that_vary_most(place):
    lander = "LunarLanderContinuous-v3"
    env = EnvSpec(lander, max_ep_length=200).make()
    params = MapsParams(env=lander, ckpt_dir=str(place.folder / "none"), max_ep_length=200)
    loaded = load_checkpoint(params)
    plane, _ = plots.plane_of(params, env, loaded)
    seen, _ = visited(loaded, env, range(params.random_seed, params.random_seed + 3))
    half_widths = [2.5, 2.5, 10, 10, 2 * np.pi, 10]  # of LunarLander's space, without the legs' contacts
    spread = seen[:, :6].std(axis=0) / half_widths
    names = [observation_names(lander, 8)[i] for i in sorted(np.argsort(spread)[-2:])]
    assert [plane.x.name, plane.y.name] == names
    i = observation_names(lander, 8).index(plane.y.name)
    assert plane.y.low <= seen[:, i].min() < seen[:, i].max() <= plane.y.high


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (dict(x_dim=3), "x_dim must be less than 3 for Pendulum-v1, got 3"),
        (dict(action_dim=1), "action_dim must be less than 1"),
        (dict(x_dim=1, y_dim=1), "must differ"),
        (dict(state=(1.0,)), "state has 1 numbers"),
    ],
)
def test_an_invalid_dimension_is_a_sentence(place, more, says):
    with pytest.raises(ParameterError, match=says):
        plots.maps(place.checkpoints(10).params(MapsParams, **more))


def test_the_report_of_a_complete_run(place, tmp_path):
    settings = {"tau": 0.5, "env": PENDULUM, "hidden_sizes": [400, 300]}
    machine = {"command": "train.py --tau 0.5", "hardware": {"cores": 2, "memory_gb": 8.0, "platform": "Linux"}}
    place.checkpoints(10).scores(10, 20).log(above=0.2)
    save(
        tmp_path / "ckpts" / PENDULUM / "Pendulum-v1.ckpt-20",
        EnvSpec(PENDULUM).make(),
        params=settings,
        versions={"numpy": "2.1"},
        **machine,
    )
    notes = write_report(place.params(ReportParams), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert problems(page) == []
    assert page.count("<img") == 6  # curve, training, film, maps, support, speed
    for words in (
        "<td>0.5</td><td>0.005</td>",
        "<td>hidden_sizes</td><td>[400, 300]</td></tr>",  # a default, which the table of changed settings lacks
        "train.py --tau 0.5",
        "2 cores, 8.0 GB of memory, Linux",
        "numpy 2.1",
        "seeds 0 to 9",
        "raise v_max",
        "20 learner steps and 160 environment steps",
    ):
        assert words in page
    assert notes == ["20% of the target mass lies above the support: raise v_max (now 0)."]


@needs_a_browser
def test_a_browser_shows_the_report_on_narrow_and_wide_screens(place, tmp_path):
    path = tmp_path / "report.html"
    write_report(place.checkpoints(10, 20).scores(10, 20).log().params(ReportParams), path)
    for width in (360, 400, 800, 1200):
        across, down, pictures = measured(path, width)
        assert across <= width
        assert down > 2000
        assert pictures


def test_the_report_of_scores_alone_says_what_is_missing(place, tmp_path):
    env = "BipedalWalkerHardcore-v3"
    params = place.scores(10, env_id=env, text_only=True).params(ReportParams, env=env)
    write_report(params, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert problems(page) == []
    assert "none is shipped for BipedalWalkerHardcore-v3" in page
    assert "There is no learner.csv of this run" in page
    assert page.count("<img") == 1


@pytest.mark.parametrize("command", ["curves", "maps", "animation", "support", "report"])
def test_without_matplotlib_a_sentence_says_what_to_install(place, tmp_path, command):
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "matplotlib.py").write_text("raise ImportError('No module named matplotlib')")
    place.checkpoints(10).scores(10)
    roots = [part for root in ("ckpt", "log", "results", "plot") for part in (f"--{root}-dir", place.given[f"{root}_dir"])]
    done = subprocess.run(
        [sys.executable, str(ROOT / "plot.py"), command, *roots],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "blocked")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 3, done.stderr
    assert "pip install matplotlib" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "plots").exists()


def test_the_same_run_gives_the_same_picture(place):
    place.checkpoints(10)
    first, second = (plots.maps(place.params(MapsParams, resolution=5)).figure for _ in range(2))
    for figure in (first, second):
        figure.canvas.draw()
    np.testing.assert_array_equal(first.canvas.buffer_rgba(), second.canvas.buffer_rgba())
