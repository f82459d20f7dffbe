"""The benchmarks run, and say what they are meant to say. Nothing here looks at a time."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
ROOMS = {"timing", "loop", "peers", "slow_env"}  # what the scripts share
SCRIPTS = sorted({path.stem for path in BENCHMARKS.glob("*.py")} - ROOMS)
PEERS = ("cpprb", "stable_baselines3", "sbx")


@pytest.fixture(scope="module")
def without_peers(tmp_path_factory):
    """An environment for processes in which the peers' packages are not installed."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({PEERS}))")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.fixture
def room(monkeypatch):
    """Imports a file of the benchmarks as its neighbours do."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in [*SCRIPTS, *ROOMS]:
        sys.modules.pop(name, None)


def run(script, env, *flags):
    """What a benchmark printed, as JSON."""
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", "--json", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def numbers(result):
    """Every number in a result, by what it is called."""
    for row in [result["figures"], *result["rows"]]:
        yield from ((name, value) for name, value in row.items() if isinstance(value, float))


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize(
    ("script", "columns", "lacks"),
    [
        ("learner", {"sizes", "gemm_fraction", "compiled updates/s", "run updates/s"}, []),
        ("replay", {"microseconds for", "toolkit"}, ["cpprb"]),
        ("acting", {"environment", "agents", "steps/s, 1 environments each", "steps/s, 16 environments each"}, []),
        (
            "training",
            {"contender", "updates/s", "env steps/s", "of the learner's compiled updates/s"},
            ["sbx", "stable_baselines3"],
        ),
        ("startup", {"seconds of", "median", "worst"}, []),
    ],
)
def test_a_benchmark_runs_without_the_peers_and_names_the_machine(script, columns, lacks, without_peers):
    result = run(script, without_peers)
    assert set(result) == {"benchmark", "machine", "figures", "rows", "skipped"}
    assert {"date", "processor", "cores", "load", "stolen", "versions"} <= set(result["machine"])
    assert columns <= set(result["rows"][0])
    for name, value in numbers(result):
        assert math.isfinite(value), name
        assert value >= 0.0, name
        assert "share" not in name or value <= 1.0, name
    said = [sentence for sentence in result["skipped"] if "HalfCheetah" not in sentence]
    assert len(said) == len(lacks)
    assert all(module in sentence and "requirements.txt" in sentence for module, sentence in zip(lacks, said, strict=True))


@pytest.mark.slow(seconds=20)
def test_time_to_score_trains_until_the_goal_once_and_never_again(without_peers, tmp_path):
    flags = ("--ledger", tmp_path / "ledger.jsonl")
    first = run("time_to_score", without_peers, *flags)
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    finished = json.loads(line)
    assert (finished["contender"], finished["seed"], finished["reached"]) == ("toolkit", 1, True)
    assert finished["updates"] % 100 == 0
    assert finished["env_steps"] >= 300  # learning_starts of the quick form
    assert finished["seconds"] > finished["training_seconds"]
    assert finished["confirmed"] >= -2_000
    again = run("time_to_score", without_peers, *flags)
    assert again["rows"] == first["rows"]
    assert (tmp_path / "ledger.jsonl").read_text().splitlines() == [line]
    assert {"sbx", "stable_baselines3"} == {sentence.split()[3].rstrip(",") for sentence in again["skipped"]}


def test_every_goal_has_an_interval_of_tests_and_the_zoos_parameters_for_each_peer(room):
    script, peers = room("time_to_score"), room("peers")
    assert set(script.TEST_EVERY) == set(script.GOALS)
    assert set(script.CONTENDERS) - {"toolkit"} <= set(peers.PEERS)
    for peer in set(script.CONTENDERS) - {"toolkit"}:
        algorithm = peer.split()[1]
        assert set(peers.ZOO[algorithm]) == set(script.GOALS)
        assert algorithm in peers.ZOO_NOISE


def test_medians_count_a_run_that_never_reached_its_goal_with_its_cap(room):
    tests = [{"score": 3.0}, {"score": 5.0}, {"score": 4.0}]
    finished = dict(
        contender="SB3 TD3",
        flags="",
        cap=600.0,
        reached=True,
        env_steps=9,
        updates=8,
        training_seconds=7,
        confirmed=6,
        tests=tests,
    )
    runs = [finished | {"seconds": seconds} for seconds in (100.0, 120.0)] + [finished | {"reached": False, "seconds": 590.0}]
    row = room("time_to_score").summary(runs)
    assert (row["reached"], row["seconds from the start"], row["each"]) == ("2 of 3", 120.0, "100, 120, not in 600")
    assert row["best test"] == 5.0
    row = room("time_to_score").summary([runs[0], runs[2], runs[2]])
    assert row["seconds from the start"] == 600.0


def test_a_value_that_a_run_lacks_is_none_and_an_empty_cell(room):
    run = dict(contender="SB3 TD3", flags="", cap=600.0, reached=False, seconds=590.0, updates=8, tests=[])
    row = room("time_to_score").summary([run, run | {"confirmed": 6.0}])
    assert (row["updates"], row["best test"], row["mean of 100 fresh episodes"]) == (8.0, None, None)
    assert room("timing").shown(None) == ""


def test_contenders_take_turns_and_ratios_are_of_one_round(room):
    calls = []
    timer = room("timing").AlternatingTimer({"a": lambda: calls.append("a"), "b": lambda: calls.append("b") or 4}, rounds=3)
    assert calls == ["a", "b"] * 4  # the first round warms up
    timer._seconds = {"a": [1.0, 10.0, 4.0], "b": [2.0, 20.0, 1.0]}
    assert timer.seconds("a") == 4.0
    assert timer.ratio("a", "b") == 0.5


def test_operations_of_an_update_are_those_of_its_dense_layers(room):
    # Actor 2-3-4-1: 6 + 12 + 4 = 22 weights. Critic 2-3, 3+1-4, 4-5: 6 + 16 + 20 = 42. Two operations each, batch 10.
    params = room("params").TrainParams(dense1_size=3, dense2_size=4, num_atoms=5, batch_size=10)
    assert room("learner").operations(2, 1, params) == 2 * 10 * (4 * 22 + 6 * 42)


def test_a_million_transitions_of_bipedal_walker_and_their_trees_take_at_most_260_megabytes(room):
    from utils.replay.prioritised import PrioritisedReplay

    replay = PrioritisedReplay(1_000_000, 24, 4, 0.6, 1e-5, np.random.default_rng(1))
    columns = 4 * (24 + 4 + 1 + 1 + 24) * 1_000_000
    assert columns < room("replay").held(replay) <= 260e6


def draw(results, into):
    """What the pictures' script says."""
    command = [sys.executable, str(BENCHMARKS / "pictures.py"), "--results", str(results), "--into", str(into)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_pictures_are_drawn_of_the_results_that_ship(tmp_path):
    said = draw(BENCHMARKS / "results" / "shipped", tmp_path / "new")
    assert all(line.startswith("Drew ") for line in said)
    shipped = sorted((BENCHMARKS / "results" / "shipped").glob("*.png"))
    assert [path.name for path in shipped] == sorted(path.name for path in (tmp_path / "new").iterdir())
    assert all((tmp_path / "new" / path.name).read_bytes().startswith(b"\x89PNG") for path in shipped)


def test_a_picture_without_its_results_is_named_and_left_out(tmp_path):
    assert len(draw(tmp_path, tmp_path)) == 3
    assert not any(tmp_path.iterdir())


def test_lines_of_a_run_end_with_a_dot_only_where_it_reached_its_goal(room):
    run = {"contender": "toolkit", "env": "Toy-v0", "goal": 5.0, "tests": [{"seconds": 60.0, "score": 1.0}]}
    later = {"seconds": 120.0, "score": 6.0}
    figure = room("pictures").time_to_score(
        [run | {"reached": False}, run | {"reached": True, "tests": [*run["tests"], later]}]
    )
    goal, short, whole, dot = (line.get_xydata().tolist() for line in figure.axes[0].lines)
    assert goal[0][1] == 5.0
    assert short == [[1.0, 1.0]]
    assert whole == [[1.0, 1.0], [2.0, 6.0]]
    assert dot == [[2.0, 6.0]]


def test_a_run_that_was_ended_before_its_first_test_leaves_an_empty_line(room):
    run = {"contender": "toolkit", "env": "Toy-v0", "goal": 5.0, "reached": False, "tests": []}
    _goal, line = room("pictures").time_to_score([run]).axes[0].lines
    assert len(line.get_xydata()) == 0


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_is_made_by_make_bench_and_explained(script):
    assert script in (ROOT / "Makefile").read_text().partition("bench:")[2].partition("\n\n")[0]
    assert f"`{script}.py`" in (BENCHMARKS / "README.md").read_text()


def test_the_peers_are_no_requirement_of_the_toolkit():
    for name in ("requirements.txt", "requirements-dev.txt"):
        needed = (ROOT / name).read_text()
        assert not any(package in needed for package in ("torch", "stable-baselines3", "sbx", "cpprb", "jax"))
