"""The six scripts as a person starts them: from any folder, with wrong input, with Ctrl-C."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from event_files import events_in, scalars_in
from factories import save_checkpoint
from processes import kill_all

from agent.analysis.plot_params import MapsParams
from agent.config import folder_name
from utils.envs.spec import EnvSpec
from utils.storage.checkpoints import checkpoint_path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ckpt", "log", "results", "record", "plot")
TIMEOUT = 400  # seconds, for a machine with much other work
TINY = ["--num-steps-train", "64", "--learning-starts", "100", "--dense1-size", "16", "--dense2-size", "16"]
TINY += ["--batch-size", "32", "--max-ep-length", "20"]  # with the sizes of trainings.SMALL: one compiled program for both


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
    return subprocess.run(command(script, folder, *flags), capture_output=True, text=True, timeout=TIMEOUT, cwd=folder, env=env)


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment for processes in which importing TensorFlow or Keras ends them."""
    blocked = tmp_path_factory.mktemp("blocked")
    for name in ("tensorflow", "keras"):
        (blocked / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return {**os.environ, "PYTHONPATH": str(blocked)}


@pytest.fixture
def start(tmp_path):
    """Starts a script beside the test, and waits until `ready(process)`; it ends with the test."""
    started = []

    def begin(script, *flags, ready=lambda process: True, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(command(script, tmp_path, *flags), text=True, **options)
        started.append(process)
        deadline = time.monotonic() + TIMEOUT
        while not ready(process):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"{script} ended with {process.poll()} or was not ready: {process.communicate()}")
            time.sleep(0.01)
        return process

    yield begin
    kill_all(started)


@pytest.fixture
def trained(shared_folder, tmp_path):
    """A folder after a training of 64 learner steps, and what it printed: a copy, which the test may change."""

    def train(folder):
        small = ("--num-agents", "1", "--save-ckpt-step", "32")  # one agent ends episodes for sure
        done = run("train.py", folder, *TINY, *small)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "printed.txt").write_text(done.stdout)

    folder = shutil.copytree(shared_folder("trained", train), tmp_path / "trained")
    return folder, (folder / "printed.txt").read_text()


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow(seconds=15)
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
    assert {
        "critic_loss",
        "kl_divergence",
        "target_entropy",
        "actor_loss",
        "saturated_actions",
        "mean_q",
        "beta",
        "samples_per_insert",
        "updates_per_s",
        "env_steps_per_s",
    } <= set(last)
    episodes = rows(folder / "log" / "Pendulum-v1" / "agents.csv")
    assert {"env_step", "agent", "return", "length", "noise"} == set(episodes[0])
    assert len(list((folder / "log" / "Pendulum-v1" / "tensorboard").glob("events.out.tfevents.*"))) == 1  # one run
    assert not list((folder / "log" / "Pendulum-v1" / "tensorboard").glob("*/"))
    assert "dense1_size 16 (flag)" in printed
    assert "done | 64 of 64 learner steps (100 %)" in printed  # the last state of the view
    assert "Saved" in printed


@pytest.mark.slow(seconds=12)
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


@pytest.mark.slow(seconds=12)
def test_play_films_a_pair_and_a_growth(trained, without_tensorflow):
    folder, _ = trained
    for flags, name in ((["--compare", "32", "64"], "Pendulum-v1.32-64.gif"), (["--grow"], "Pendulum-v1.grow.gif")):
        played = run("play.py", folder, *flags, env=without_tensorflow)
        assert played.returncode == 0, played.stderr
        assert (folder / "record" / name).read_bytes().startswith(b"GIF8")
    wrong = run("play.py", folder, "--compare", "32", "63", env=without_tensorflow)
    assert (wrong.returncode, "it has 32, 64" in wrong.stderr) == (7, True)


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
    # 3 * 16 + 16, 16 * 16 + 16, 16 + 1; and 3 * 16 + 16, 17 * 16 + 16, 16 * 101 + 101
    assert "Actor and critic have 2,422 parameters." in done.stdout
    assert all(f'Model: "{name}"' in done.stdout for name in ("actor", "critic"))
    assert done.stdout.count("Param #") == 2  # the tables are not cut off
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert {"dense1_size 16 flag", "reward_scale 100.0 ENVS", "num_atoms 101 ENVS", "tau 0.005 default"} <= set(lines)


@pytest.mark.parametrize(("env", "code"), [("Pendulum-v1", 0), ("CartPole-v1", 2), ("faulty_envs:CrashInStep-v0", 4)])
def test_a_check_of_an_environment_has_an_exit_code_and_leaves_nothing_behind(tmp_path, without_tensorflow, env, code):
    path = f"{without_tensorflow['PYTHONPATH']}:{ROOT / 'tests'}"
    done = run("train.py", tmp_path, "--env", env, "--check-env", env=without_tensorflow | {"PYTHONPATH": path})
    assert done.returncode == code, done.stdout + done.stderr
    assert (f"{env} can be trained on." in done.stdout) == (code == 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow(seconds=15)
def test_the_watcher_tests_each_checkpoint_once_and_in_order(trained, without_tensorflow):
    folder, _ = trained
    last, hidden = folder / "ckpt" / "Pendulum-v1" / "Pendulum-v1.ckpt-64", folder / "hidden"
    last.rename(hidden)
    for report in ([], ["--report"]):  # the second watcher finds the last checkpoint alone left to do
        flags = ("--exit-when-done", "--num-eps-test", "2", *report)
        watched = run("test_every_new_ckpt.py", folder, *flags, env=without_tensorflow)
        assert watched.returncode == 0, watched.stderr
        if not report:
            hidden.rename(last)
    lines = (folder / "results" / "Pendulum-v1.tested.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    steps = [entry["learner_step"] for entry in entries]
    assert steps == sorted(set(steps))
    assert {32, 64} <= set(steps)
    assert {entry["outcome"] for entry in entries} == {"tested"}
    assert "seeds 1000000 to 1000001" in (folder / "plot" / "Pendulum-v1" / "report.html").read_text()
    chosen = [row for row in rows(folder / "results" / "Pendulum-v1.csv") if row["first_seed"] == "1000000"]
    assert [int(row["learner_step"]) for row in chosen] == steps
    shown = [scalar for scalar in scalars_in(folder / "log" / "Pendulum-v1" / "tensorboard") if scalar[0] == "eval/score"]
    assert shown == [("eval/score", step, pytest.approx(float(row["mean"]))) for step, row in zip(steps, chosen, strict=True)]


def test_a_score_that_tensorboard_cannot_take_is_no_failed_test(trained, tmp_path, without_tensorflow):
    (tmp_path / "ckpt").symlink_to(trained[0] / "ckpt")
    (tmp_path / "log").write_text("a file in place of the folder")
    watched = run("test_every_new_ckpt.py", tmp_path, "--exit-when-done", "--num-eps-test", "1", env=without_tensorflow)
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count("TensorBoard lacks a score") == 1
    lines = (tmp_path / "results" / "Pendulum-v1.tested.jsonl").read_text().splitlines()
    assert {json.loads(line)["outcome"] for line in lines} == {"tested"}


def test_the_watcher_ends_where_a_flag_is_missing_and_no_checkpoint_counts_as_tested(tmp_path, without_tensorflow):
    record = {"id": "Pendulum-v1", "wrappers": ["faulty_envs:OneMore"]}
    save_checkpoint(tmp_path / "ckpt/Pendulum-v1/Pendulum-v1.ckpt-64", EnvSpec("Pendulum-v1").make(), env_spec=record)
    env = without_tensorflow | {"PYTHONPATH": f"{without_tensorflow['PYTHONPATH']}:{ROOT / 'tests'}"}
    watched = run("test_every_new_ckpt.py", tmp_path, "--num-eps-test", "1", env=env)
    assert watched.returncode == 7, watched.stderr
    assert "add --wrapper faulty_envs:OneMore" in watched.stderr
    assert not (tmp_path / "results" / "Pendulum-v1.tested.jsonl").exists()


def test_the_same_test_twice_makes_one_row_and_a_shorter_one_another(trained, tmp_path, without_tensorflow):
    (tmp_path / "ckpt").symlink_to(trained[0] / "ckpt")
    for episodes in ("2", "2", "1"):
        tested = run("test.py", tmp_path, "--num-eps-test", episodes, env=without_tensorflow)
        assert tested.returncode == 0, tested.stderr
    assert [row["episodes"] for row in rows(tmp_path / "results" / "Pendulum-v1.csv")] == ["2", "1"]


def test_shipped_tests_the_shipped_policy_beside_a_run(trained, tmp_path, without_tensorflow):
    (tmp_path / "ckpt").symlink_to(trained[0] / "ckpt")
    tested = run("test.py", tmp_path, "--shipped", "--starts", "data/pendulum_legacy_starts.csv", env=without_tensorflow)
    assert tested.returncode == 0, tested.stderr
    (score,) = rows(tmp_path / "results" / "Pendulum-v1" / "shipped.csv")
    assert (score["checkpoint"], score["starts"]) == ("Pendulum-v1.ckpt-190000", "pendulum_legacy_starts.csv")
    played = run("play.py", tmp_path, "--shipped", "--ckpt-file", "best", env=without_tensorflow)
    assert (played.returncode, "goes with neither --run nor --ckpt-file" in played.stderr) == (2, True)


def test_a_shipped_policy_that_is_tested_for_lack_of_a_checkpoint_gives_no_score_to_the_run(tmp_path, without_tensorflow):
    tested = run("test.py", tmp_path, "--num-eps-test", "1", env=without_tensorflow)
    assert tested.returncode == 0, tested.stderr
    assert "this is the shipped Pendulum-v1.ckpt-190000" in tested.stdout
    assert [row["learner_step"] for row in rows(tmp_path / "results" / "Pendulum-v1" / "shipped.csv")] == ["190000"]
    assert not (tmp_path / "results" / "Pendulum-v1.csv").exists()


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--run", "nowhere"], 7, "there is no run nowhere of Pendulum-v1"),
        (["--env", "BipedalWalker-v3"], 7, "no data to draw"),
        (["--first-seed", "77"], 2, "there are no such tests"),
        (["--out", "curves.pdf"], 2, "must end with .png"),
    ],
)
def test_curves_that_cannot_be_drawn_are_a_sentence_and_no_file(trained, tmp_path, without_tensorflow, flags, code, says):
    for name in ("ckpt", "log", "results"):
        (tmp_path / name).symlink_to(trained[0] / name)
    before = sorted(tmp_path.iterdir())
    drawn = run("plot.py", tmp_path, "curves", *flags, env=without_tensorflow)
    assert (drawn.returncode, says in drawn.stderr) == (code, True), drawn.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--env", "NoSuch-v1"], "NoSuch"),
        (["--env", "CartPole-v1"], "Discrete"),
        (["--env", "CarRacing-v3"], "96, 96, 3"),
        (["--env", "MountainCarContinuous-v0", "--v-min", "0"], "v_min and v_max go together"),
        (["--v-min", "1", "--v-max", "0"], "v_min must be less than v_max"),
        (["--tau", "nan", "--num-agents", "0"], "tau must be a finite number, got nan; num_agents must be at least 1, got 0"),
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
    classes["plot.py maps"] = MapsParams
    name, *words = script.split()
    shown = [sys.executable, str(ROOT / name), *words, "--help"]
    done = subprocess.run(shown, capture_output=True, text=True, timeout=TIMEOUT, env=without_tensorflow)
    assert done.returncode == 0
    for name in classes.get(script, params.WatchParams).__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in done.stdout


@pytest.fixture
def endless(start, tmp_path):
    """Starts a training without end, and waits for its first checkpoint."""
    folder = tmp_path / "ckpt" / "Pendulum-v1"
    flags = [*TINY[2:], "--num-steps-train", "1000000", "--save-ckpt-step", "80"]
    flags += ["--max-ep-length", "200"]  # a test of a checkpoint takes seconds, and does not end by itself meanwhile
    return lambda *more: start("train.py", *flags, *more, ready=lambda process: list(folder.glob("Pendulum-v1.ckpt-*")))


@pytest.mark.slow(seconds=12)
def test_a_training_keeps_its_folder_and_leaves_a_checkpoint_when_its_terminal_closes(endless, tmp_path, without_tensorflow):
    process = endless("--eval-every", "80")
    second = run("train.py", tmp_path, *TINY, env=without_tensorflow)
    assert second.returncode == 8, second.stderr  # the folder is in use
    assert str(process.pid) in second.stderr
    wait_for_test(process, tmp_path)
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.005)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 129, out + err
    assert processes_of(tmp_path) == []  # the test beside it has ended
    record = json.loads((tmp_path / "ckpt" / "Pendulum-v1" / "run.json").read_text())
    assert record["status"] == "stopped"
    assert (tmp_path / "ckpt" / "Pendulum-v1" / f"Pendulum-v1.ckpt-{record['learner_step']}" / "manifest.json").exists()


def processes_of(folder):
    """The command lines of the processes that were given a folder below `folder`."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, timeout=60).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


def wait_for_test(process, folder):
    """Wait until a training has a test beside it."""
    deadline = time.monotonic() + 60
    while not any("test.py" in line for line in processes_of(folder)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow(seconds=10)
def test_training_that_is_killed_leaves_no_child_process(endless, tmp_path):
    process = endless("--eval-every", "80")
    wait_for_test(process, tmp_path)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(tmp_path) == []


@pytest.mark.slow(seconds=12)
def test_eval_every_scores_checkpoints_as_the_watcher_does(tmp_path):
    flags = [*TINY, "--save-ckpt-step", "16", "--eval-every", "32"]
    done = run("train.py", tmp_path, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_of(tmp_path) == []
    scores = [(row["learner_step"], row["first_seed"]) for row in rows(tmp_path / "results" / "Pendulum-v1.csv")]
    entries = [json.loads(line) for line in (tmp_path / "results" / "Pendulum-v1.tested.jsonl").read_text().splitlines()]
    tested = [entry["learner_step"] for entry in entries]
    assert tested[-1] == 64
    assert set(tested) <= {32, 48, 64}  # a quick training may have passed 32 before it is looked at
    # A test may be running when the last score is made: the rows come in the order in which the tests end.
    assert sorted(scores) == sorted([("64", "0"), *((str(learner_step), "1000000") for learner_step in tested)])
    watched = run("test_every_new_ckpt.py", tmp_path, "--exit-when-done", "--num-eps-test", "2")
    assert watched.returncode == 0, watched.stderr
    assert not any(f"ckpt-{learner_step}:" in watched.stdout for learner_step in tested)


@pytest.mark.slow(seconds=15)
def test_mujoco_training_ends_well_with_a_film_or_a_sentence(tmp_path):
    pytest.importorskip("mujoco")
    flags = ["--env", "InvertedPendulum-v5", "--v-min", "0", "--v-max", "100"]
    done = run("train.py", tmp_path, *TINY, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes_of(tmp_path) == []
    # EGL may be missing here: then play.py cannot render either.
    played = run("play.py", tmp_path, "--env", "InvertedPendulum-v5", "--num-eps-play", "1", "--no-render")
    events = events_in(tmp_path / "log/InvertedPendulum-v5/tensorboard")
    tags = {value.tag for event in events for value in event.summary.value}
    assert "score/final" in tags
    is_recorded = played.returncode == 0
    assert ("recording" in tags, "TensorBoard shows no recording" in done.stdout) == (is_recorded, not is_recorded)


def test_a_failing_agent_ends_the_run_with_its_error_and_a_last_checkpoint(tmp_path):
    flags = ["--env", "faulty_envs:CrashInStep-v0", "--v-min", "-1", "--v-max", "1", "--env-restarts", "2"]
    done = run("train.py", tmp_path, *TINY[2:], *flags, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
    assert done.returncode == 4, done.stdout + done.stderr
    assert "the simulator exploded" in done.stderr
    assert "Saved" in done.stdout


# ---- refused before the work

LACKS_OPTIMISERS = ROOT / "ckpts/shipped/Pendulum-v1/Pendulum-v1.ckpt-190000"
UNKNOWN = "NoSuch-v0' is not an environment"


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("train.py", "ckpt"),
        ("train.py", "log"),
        ("train.py", "results"),
        ("test.py", "results"),
        ("test_every_new_ckpt.py", "results"),
        ("play.py", "record"),
    ],
)
def test_a_folder_that_cannot_be_written_is_said_before_the_work_and_nothing_is_left(
    tmp_path, without_tensorflow, script, name
):
    (tmp_path / "file").write_text("")
    done = run(script, tmp_path, f"--{name}-dir", str(tmp_path / "file/here"), env=without_tensorflow)
    assert done.returncode == 6, done.stdout + done.stderr
    assert f"Choose another with --{name}-dir" in done.stderr
    assert "Episode" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("script", "flags", "code", "says"),
    [
        ("train.py", ["--env", "NoSuch-v0"], 2, UNKNOWN),
        ("train.py", ["--env", "NoSuch-v0", "--tau", "9"], 2, UNKNOWN),
        ("train.py", ["--env", "CartPole-v1"], 2, "Error: CartPole-v1 has the action space Discrete(2)"),
        ("train.py", ["--env", "Pendulum"], 2, "did you mean Pendulum-v1?"),
        ("test.py", ["--env", "NoSuch-v0", "--num-eps-test", "0"], 2, UNKNOWN),
        ("train.py", ["--env", "LunarLander-v3"], 2, "are supported, as of LunarLanderContinuous-v3"),
        ("train.py", ["--env", "CarRacing-v3"], 2, "a --wrapper can turn others into numbers"),
        ("train.py", ["--env-kwargs", '{"nothing": 1}'], 2, "got an unexpected keyword argument 'nothing'"),
        ("train.py", ["--wrapper", "no_such:thing"], 2, "the wrapper no_such:thing cannot be imported"),
        ("train.py", ["--train-wrapper", "gymnasium.wrappers:TimeAwareObservation"], 2, "changes the observation_space"),
        ("train.py", ["--reward-clip", "1", "0"], 2, "reward_clip must be the lowest and the highest reward, in this order"),
        ("train.py", ["--action-bound", "1"], 2, "so leave out --action-bound"),
        ("train.py", ["--max-minutes", "1e12"], 2, "max_minutes must be at most"),
        ("test_every_new_ckpt.py", ["--test-timeout", "1e12"], 2, "test_timeout must be at most"),
        ("train.py", ["--replay-mem-size", "9000000000"], 2, "--replay-mem-size"),
        ("train.py", ["--ckpt-file", str(LACKS_OPTIMISERS)], 7, "it lacks target networks and optimisers (learner.npz)"),
        ("train.py", ["--ckpt-file", "of-2018.ckpt"], 7, "of-2018.ckpt is a checkpoint of the original: it lacks"),
    ],
)
def test_invalid_input_fails_with_one_sentence_before_any_output(tmp_path, without_tensorflow, script, flags, code, says):
    (tmp_path / "of-2018.ckpt.index").write_text("")
    done = run(script, tmp_path, *flags, env=without_tensorflow)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["of-2018.ckpt.index"]


WITH_FAULTY = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}


@pytest.fixture
def checkpoint_for(tmp_path):
    """Saves a small checkpoint as if it had been trained on an environment, in the folder where it would be."""

    def save(env_id):
        name = folder_name(env_id)
        save_checkpoint(checkpoint_path(tmp_path / "ckpt" / name, name, 64), EnvSpec("faulty_envs:Healthy-v0").make(), env_id)

    return save


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CrashInStep-v0", "failed in step 3 of an episode, action"),
        ("CrashInReset-v0", None),  # each episode of a test has an environment of its own, which is reset once
        ("NanInReset-v0", "returned the observation [nan] in step 0"),
        ("Exit-v0", "SystemExit"),
        ("EndOfData-v0", "StopIteration"),
        ("OldStep-v0", "failed in step 3"),
        ("CrashInClose-v0", None),
    ],
)
def test_environment_error_during_a_test_is_an_environment_failure(tmp_path, checkpoint_for, name, says):
    checkpoint_for(f"faulty_envs:{name}")
    done = run("test.py", tmp_path, "--env", f"faulty_envs:{name}", "--num-eps-test", "2", env=WITH_FAULTY)
    assert done.returncode == (4 if says else 0), done.stdout + done.stderr
    assert done.stderr.startswith(f"Error: faulty_envs:{name} ") if says else not done.stderr
    assert (says or "") in done.stderr
    assert len(done.stderr.splitlines()) == bool(says)


@pytest.mark.parametrize("name", ["NoPicture-v0", "CrashInRender-v0", "LatePicture-v0", "CrashInStep-v0"])
@pytest.mark.parametrize("form", ["gif", "mp4"])
def test_invalid_frame_is_an_environment_failure_and_leaves_no_file(tmp_path, checkpoint_for, name, form):
    checkpoint_for(f"faulty_envs:{name}")
    done = run("play.py", tmp_path, "--env", f"faulty_envs:{name}", "--format", form, env=WITH_FAULTY)
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.startswith(f"Error: faulty_envs:{name} ")
    assert "step 3 of an episode" in done.stderr
    assert list((tmp_path / "record").iterdir()) == []


def test_a_window_that_an_environment_does_not_have_is_code_3(tmp_path, checkpoint_for):
    checkpoint_for("faulty_envs:Healthy-v0")
    env = WITH_FAULTY | {"DISPLAY": ":0"}
    done = run("play.py", tmp_path, "--env", "faulty_envs:Healthy-v0", "--render", "True", env=env)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cannot open a window (it offers ['rgb_array'])" in done.stderr


@pytest.mark.parametrize(("flags", "seeds"), [(["--no-overlay"], [999_999, 1_000_000]), ([], [999_999, 999_999, 1_000_000])])
def test_the_filmed_episode_is_played_once_and_once_before_for_the_axis_of_its_panel(tmp_path, checkpoint_for, flags, seeds):
    checkpoint_for("counted:Healthy-v0")
    (tmp_path / "counted.py").write_text(
        "import faulty_envs\n"
        "reset = faulty_envs.Tiny.reset\n"
        "def counted(self, **given):\n"
        "    print('reset', given['seed'])\n"
        "    return reset(self, **given)\n"
        "faulty_envs.Tiny.reset = counted\n"
    )
    env = WITH_FAULTY | {"PYTHONPATH": f"{tmp_path}:{WITH_FAULTY['PYTHONPATH']}"}
    done = run("play.py", tmp_path, "--env", "counted:Healthy-v0", "--num-eps-play", "2", *flags, env=env)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "reset" in line] == [f"reset {seed}" for seed in seeds]


@pytest.mark.parametrize(("flags", "said"), [([], True), (["--random-seed", "999999"], False)])
def test_pendulums_film_has_a_seed_of_its_own_that_is_said_unless_one_is_given(tmp_path, flags, said):
    played = run("play.py", tmp_path, "--num-eps-play", "1", "--max-ep-length", "4", *flags)
    assert played.returncode == 0, played.stderr
    assert ("The episodes start with seed 21526" in played.stdout) is said


def test_sigterm_in_the_middle_of_a_film_leaves_nothing_of_it(start, tmp_path):
    record = tmp_path / "record"
    flags = ["--format", "mp4", "--ckpt-dir", str(tmp_path)]
    process = start("play.py", *flags, ready=lambda process: list(record.glob(".*.partial.mp4")))
    process.terminate()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143
    assert list(record.iterdir()) == []


def hanging(folder):
    """Options of `start` for an environment that hangs: ready when it does."""
    return {"env": WITH_FAULTY | {"HANGS": str(folder / "hangs")}, "ready": lambda process: (folder / "hangs").exists()}


@pytest.mark.parametrize(("script", "flags"), [("test.py", []), ("play.py", ["--format", "mp4"])])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_a_script_whose_environment_hangs(start, tmp_path, checkpoint_for, script, flags, number):
    checkpoint_for("faulty_envs:HangInStep-v0")
    process = start(script, "--env", "faulty_envs:HangInStep-v0", *flags, **hanging(tmp_path))
    process.send_signal(number)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (128 + number, "")
    assert not list((tmp_path / "record").glob("*"))
    assert not list((tmp_path / "results").glob("*"))


def test_ctrl_c_in_the_watcher_says_nothing_of_the_test_it_interrupts(start, checkpoint_for, tmp_path):
    checkpoint_for("faulty_envs:HangInStep-v0")
    flags = ["--env", "faulty_envs:HangInStep-v0"]
    process = start("test_every_new_ckpt.py", *flags, start_new_session=True, **hanging(tmp_path))
    assert process.stdout.readline().startswith("Watching ")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: test.py gets it as well
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (130, "", "")
    assert not list((tmp_path / "results").glob("*.tested.jsonl"))


# ---- closed streams and signals

SCRIPTS = ["train.py", "test.py", "play.py", "test_every_new_ckpt.py"]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("shell", ["--help | head -1", "--help >&-", "--help >/dev/full", "--help 2>&-", "--help >&- 2>&- <&-"])
def test_help_survives_a_closed_pipe(script, shell, tmp_path):
    line = f'"{sys.executable}" "{ROOT / script}" {shell}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=TIMEOUT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_misspelt_flag_with_closed_stderr_exits_with_code_2(script, tmp_path):
    line = f'"{sys.executable}" "{ROOT / script}" --evn X 2>&- >&-'
    assert subprocess.run(["bash", "-c", line], timeout=TIMEOUT, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_during_the_imports_is_quiet(start, script, tmp_path):
    (tmp_path / "numpy.py").write_text("import time; print('importing', flush=True); time.sleep(600)")
    process = start(script, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out, err) == (130, "", "")
