"""The six scripts as a person starts them: from any folder, with wrong input, with Ctrl-C."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ckpt", "log", "results", "record", "plot")
TINY = ["--num-steps-train", "64", "--learning-starts", "100", "--dense1-size", "16", "--dense2-size", "16"]


def command(script, folder, *flags):
    wanted = {
        "train.py": ("ckpt", "log", "results"),
        "play.py": ("ckpt", "record"),
        "plot.py": ("ckpt", "log", "results", "plot"),
        "test_every_new_ckpt.py": ("ckpt", "log", "results", "plot"),
    }.get(script, ("ckpt", "results"))
    places = [part for name in wanted for part in (f"--{name}-dir", str(folder / name))]
    words, flags = (flags[:1], flags[1:]) if script == "plot.py" else ((), flags)
    return [sys.executable, str(ROOT / script), *words, *places, *flags]


def run(script, folder, *flags, env=None):
    """The finished process; a script needs nothing from the folder it is started in."""
    return subprocess.run(command(script, folder, *flags), capture_output=True, text=True, timeout=120, cwd=folder, env=env)


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment for processes in which importing TensorFlow or Keras ends them."""
    blocked = tmp_path_factory.mktemp("blocked")
    for name in ("tensorflow", "keras"):
        (blocked / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return {**os.environ, "PYTHONPATH": str(blocked)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder after a training of 64 learner steps, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    done = run("train.py", folder, *TINY, "--save-ckpt-step", "32")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_train_leaves_checkpoints_logs_and_a_score(trained):
    folder, printed = trained
    run_folder = folder / "ckpt" / "Pendulum-v1"
    assert {path.name for path in run_folder.glob("*.ckpt-*")} == {"Pendulum-v1.ckpt-32", "Pendulum-v1.ckpt-64"}
    assert json.loads((run_folder / "run.json").read_text())["status"] == "done"
    (score,) = rows(folder / "results" / "Pendulum-v1.csv")
    assert (score["learner_step"], score["episodes"], score["first_seed"]) == ("64", "100", "0")
    assert "Training Episode 64: \t Average reward = " in (folder / "results" / "Pendulum-v1.txt").read_text()
    last = rows(folder / "log" / "Pendulum-v1" / "learner.csv")[-1]
    assert last["learner_step"] == "64"
    assert {"critic_loss", "mean_q", "beta", "samples_per_insert", "updates_per_s", "env_steps_per_s"} <= set(last)
    episodes = rows(folder / "log" / "Pendulum-v1" / "agents.csv")
    assert {"env_step", "agent", "return", "length", "noise"} == set(episodes[0])
    assert len(list((folder / "log" / "Pendulum-v1").rglob("events.out.tfevents.*"))) == 2
    assert "dense1_size 16 (flag)" in printed
    assert "64 of 64" in printed or "Saved" in printed


def test_train_refuses_a_folder_with_a_run_and_resumes_it_when_told(trained, tmp_path):
    folder, _ = trained
    refused = run("train.py", folder, *TINY)
    assert refused.returncode == 2
    assert all(flag in refused.stderr for flag in ("--resume", "--fresh", "--run NAME"))
    resumed = run("train.py", folder, *TINY[2:], "--num-steps-train", "80", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "learner step 64" in resumed.stdout
    assert (folder / "ckpt" / "Pendulum-v1" / "Pendulum-v1.ckpt-80").is_dir()
    steps = [int(row["learner_step"]) for row in rows(folder / "log" / "Pendulum-v1" / "learner.csv")]
    assert steps == sorted(steps)
    assert steps[-1] == 80


def test_test_scores_and_play_films_the_newest(trained, without_tensorflow):
    folder, _ = trained
    tested = run("test.py", folder, "--num-eps-test", "3", "--random-seed", "7", env=without_tensorflow)
    assert tested.returncode == 0, tested.stderr
    assert "over 3 episodes from seeds 7 to 9" in tested.stdout
    played = run("play.py", folder, "--num-eps-play", "1", env=without_tensorflow)
    assert played.returncode == 0, played.stderr
    gif = folder / "record" / "Pendulum-v1.gif"
    assert gif.read_bytes().startswith(b"GIF8")
    assert gif.stat().st_size < 1_000_000


def test_play_films_a_pair_and_a_growth(trained, without_tensorflow):
    folder, _ = trained
    for flags, name in ((["--compare", "32", "64"], "Pendulum-v1.32-64.gif"), (["--grow"], "Pendulum-v1.grow.gif")):
        played = run("play.py", folder, *flags, env=without_tensorflow)
        assert played.returncode == 0, played.stderr
        assert (folder / "record" / name).read_bytes().startswith(b"GIF8")
    wrong = run("play.py", folder, "--compare", "32", "63", env=without_tensorflow)
    assert (wrong.returncode, "there are 32, 64" in wrong.stderr) == (7, True)


@pytest.mark.parametrize(
    ("command", "name"), [("curves", "curves.png"), ("maps", "maps.png"), ("support", "support.png"), ("report", "report.html")]
)
def test_plot_draws_what_a_training_left(trained, without_tensorflow, command, name):
    folder, _ = trained
    drawn = run("plot.py", folder, command, env=without_tensorflow)
    assert drawn.returncode == 0, drawn.stderr
    assert str(folder / "plot" / "Pendulum-v1" / name) in drawn.stdout
    assert (folder / "plot" / "Pendulum-v1" / name).stat().st_size > 10_000


def test_plot_opens_no_window_where_there_is_no_screen(trained, without_tensorflow):
    folder, _ = trained
    screenless = {name: value for name, value in without_tensorflow.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    drawn = run("plot.py", folder, "maps", "--show", env=screenless)
    assert drawn.returncode == 3
    assert "needs a screen" in drawn.stderr


def test_a_summary_names_networks_and_sources_and_leaves_nothing_behind(tmp_path):
    done = run("train.py", tmp_path, *TINY, "--summary")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    # 3 * 16 + 16, 16 * 16 + 16, 16 + 1; and 3 * 16 + 16, 17 * 16 + 16, 16 * 51 + 51
    assert "Actor and critic have 1,572 parameters." in done.stdout
    assert all(f'Model: "{name}"' in done.stdout for name in ("actor", "critic"))
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert {"dense1_size 16 flag", "tau 0.005 ENVS", "batch_size 256 default"} <= set(lines)


def test_the_watcher_tests_each_checkpoint_once_and_in_order(trained, without_tensorflow):
    folder, _ = trained
    for _ in range(2):  # a second watcher finds nothing left to do
        flags = ("--exit-when-done", "--num-eps-test", "2", "--report")
        watched = run("test_every_new_ckpt.py", folder, *flags, env=without_tensorflow)
        assert watched.returncode == 0, watched.stderr
    lines = (folder / "results" / "Pendulum-v1.tested.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    steps = [entry["learner_step"] for entry in entries]
    assert steps == sorted(set(steps))
    assert {32, 64} <= set(steps)
    assert {entry["outcome"] for entry in entries} == {"tested"}
    assert "seeds 1000000 to 1000001" in (folder / "plot" / "Pendulum-v1" / "report.html").read_text()
    chosen = [row for row in rows(folder / "results" / "Pendulum-v1.csv") if row["first_seed"] == "1000000"]
    assert [int(row["learner_step"]) for row in chosen] == steps


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--env", "NoSuch-v1", "--v-min", "0", "--v-max", "1"], "NoSuch"),
        (["--env", "CartPole-v1", "--v-min", "0", "--v-max", "1"], "Discrete"),
        (["--env", "CarRacing-v3", "--v-min", "0", "--v-max", "1"], "96, 96, 3"),
        (["--env", "MountainCarContinuous-v0"], "--v-min and --v-max"),
        (["--v-min", "1", "--v-max", "0"], "v_min must be less than v_max"),
        (["--tau", "nan", "--num-agents", "0"], "num_agents must be at least 1, got 0; tau must be a finite number"),
        (["--num-agentz", "3"], "--num-agents"),
        (["--obs-scale", "1", "2"], "obs_scale has 2 numbers"),
    ],
)
def test_wrong_input_gets_one_sentence_and_code_2_before_tensorflow_is_there(tmp_path, without_tensorflow, flags, says):
    done = run("train.py", tmp_path, *flags, env=without_tensorflow)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["train.py", "test.py", "play.py", "test_every_new_ckpt.py", "plot.py maps"])
def test_help_names_every_parameter(script, without_tensorflow):
    import params

    classes = {"train.py": params.TrainParams, "test.py": params.TestParams, "play.py": params.PlayParams}
    classes["plot.py maps"] = params.MapsParams
    name, *words = script.split()
    shown = [sys.executable, str(ROOT / name), *words, "--help"]
    done = subprocess.run(shown, capture_output=True, text=True, timeout=60, env=without_tensorflow)
    assert done.returncode == 0
    for name in classes.get(script, params.WatchParams).__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in done.stdout


def start(tmp_path, *flags):
    """A training that would go on for long, once it has saved its first checkpoint."""
    process = subprocess.Popen(
        command("train.py", tmp_path, *TINY[2:], "--num-steps-train", "1000000", "--save-ckpt-step", "40", *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    while process.poll() is None:
        if list((tmp_path / "ckpt" / "Pendulum-v1").glob("Pendulum-v1.ckpt-*")):
            return process
        time.sleep(0.05)
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_within_ten_seconds_with_a_last_checkpoint(tmp_path, number, code):
    process = start(tmp_path)
    process.send_signal(number)
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10
    assert process.returncode == code, out + err
    record = json.loads((tmp_path / "ckpt" / "Pendulum-v1" / "run.json").read_text())
    assert record["status"] == "stopped"
    assert (tmp_path / "ckpt" / "Pendulum-v1" / f"Pendulum-v1.ckpt-{record['learner_step']}" / "manifest.json").exists()


def test_a_second_training_in_the_same_folder_ends_with_code_8(tmp_path):
    process = start(tmp_path)
    second = run("train.py", tmp_path, *TINY)
    assert second.returncode == 8
    assert str(process.pid) in second.stderr
    process.kill()
    process.communicate()


def test_a_failing_agent_ends_the_run_with_its_error_and_a_last_checkpoint(tmp_path):
    flags = ["--env", "faulty_envs:CrashInStep-v0", "--v-min", "-1", "--v-max", "1"]
    done = run("train.py", tmp_path, *TINY[2:], *flags, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
    assert done.returncode == 4, done.stdout + done.stderr
    assert "the simulator exploded" in done.stderr
    assert "Saved" in done.stdout


def test_max_minutes_ends_a_training_and_scores_it(tmp_path):
    done = run(
        "train.py", tmp_path, *TINY[2:], "--num-steps-train", "1000000", "--max-minutes", "0.05", "--max-ep-length", "20"
    )
    assert done.returncode == 0, done.stderr
    assert "over 100 noise-free episodes" in done.stdout
    assert json.loads((tmp_path / "ckpt" / "Pendulum-v1" / "run.json").read_text())["status"] == "stopped"


def test_stop_at_score_ends_a_training_at_the_first_checkpoint_that_reaches_it(tmp_path):
    done = run(
        "train.py", tmp_path, *TINY[2:], "--num-steps-train", "100000", "--save-ckpt-step", "40", "--stop-at-score", "-9000"
    )
    assert done.returncode == 0, done.stderr
    assert "over 20 noise-free episodes" in done.stdout
    assert not (tmp_path / "ckpt" / "Pendulum-v1" / "Pendulum-v1.ckpt-100000").exists()
