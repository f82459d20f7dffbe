"""The environment that a checkpoint was trained on: its numbers are taken over, its code only where the flags name it."""

import json
import subprocess
import sys

import faulty_envs
import pytest
from factories import save_checkpoint as save
from fake_learner import use_fake_learner
from trainings import PATHS, ROOT, SMALL, flags_of

from agent.environment import env_flags, env_problem, env_spec, trained_env_spec
from agent.loading import load_checkpoint
from agent.training import Callback, train
from params import TestParams as Params
from params import TrainParams
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError
from utils.storage.checkpoints import Checkpoint

ID = "Healthy-v0"


def checkpoint(tmp_path, **spec):
    return save(tmp_path / f"{ID}.ckpt-1", EnvSpec(ID).make(), env_spec={"id": ID} | spec)


def trained(path, **flags):
    return trained_env_spec(Checkpoint(path), Params(env=ID, **flags))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"env": "Healthy-v0"}, None),
        ({"env": "Helthy-v0"}, "'Helthy-v0' is not an environment that Gymnasium can make: "),
        ({"env": "Pendulum-v1", "env_kwargs": '{"g": 9.8}'}, None),
        (
            {"env": "Pendulum-v1", "env_kwargs": '{"weight": 9.8}'},
            "'Pendulum-v1' is not an environment that Gymnasium can make: ",
        ),
        ({"env": "no_such_package:X-v0"}, "no_such_package:X-v0 needs a missing module: "),
    ],
)
def test_the_problem_of_an_environment_takes_all_its_parameters_into_account(given, problem):
    found = env_problem(Params(**given))
    assert found is None if problem is None else found.startswith(problem)


def test_numbers_are_taken_from_the_checkpoint_unless_flags_give_them(tmp_path):
    path = checkpoint(tmp_path, action_repeat=3, max_ep_length=50)
    assert trained(path) == EnvSpec(ID, action_repeat=3, max_ep_length=50)
    assert trained(path, action_repeat=1, max_ep_length=7) == EnvSpec(ID, action_repeat=1, max_ep_length=7)
    params = Params(env=ID, ckpt_file=str(path))
    assert load_checkpoint(params).env_spec.action_repeat == 3


@pytest.mark.parametrize("kwargs", [{"length": 3}, {"truncates": True, "observes": None}, {"a": [1, [2.5]], "b": {"c": 1}}])
def test_numbers_and_switches_among_the_arguments_are_taken_from_the_checkpoint(tmp_path, kwargs):
    assert trained(checkpoint(tmp_path, kwargs=kwargs)) == EnvSpec(ID, kwargs)


def test_the_sizes_that_are_compared_are_those_of_the_environment_with_the_arguments_of_the_checkpoint(tmp_path):
    env, kwargs = "Pendulum-v1", {"g": 9.8}
    path = save(tmp_path / f"{env}.ckpt-1", EnvSpec(env).make(), env_spec={"id": env, "kwargs": kwargs})
    assert load_checkpoint(Params(env=env, ckpt_file=str(path))).env_spec.make().unwrapped.g == 9.8


def test_a_checkpoint_without_a_spec_has_the_id_alone(tmp_path):
    path = save(tmp_path / f"{ID}.ckpt-1", EnvSpec(ID).make())
    assert trained(path) == EnvSpec(ID)
    with pytest.raises(CheckpointError, match=rf"trained on {ID}, not on Pendulum-v1; add --env {ID}\.$"):
        trained_env_spec(Checkpoint(path), Params())


@pytest.mark.parametrize(
    ("spec", "flags", "to_add"),
    [
        ({"kwargs": {"b": 1, "a": "x y"}}, {"env_kwargs": '{"a":"x y","b":1}'}, """--env-kwargs '{"a": "x y", "b": 1}'"""),
        (
            {"wrappers": ["evil:Run", "mine:More"]},
            {"wrapper": "evil:Run,mine:More"},
            "--wrapper evil:Run,mine:More",
        ),
        ({"id": "evil:Healthy-v0"}, {"env": "evil:Healthy-v0"}, "--env evil:Healthy-v0, if you trust"),
    ],
)
def test_code_and_arguments_of_a_checkpoint_need_the_same_flags(tmp_path, spec, flags, to_add):
    path = checkpoint(tmp_path, **spec)
    with pytest.raises(CheckpointError) as caught:
        trained(path)
    assert f"add {to_add}" in str(caught.value)
    asked = env_spec(Params(**{"env": ID} | flags))
    assert trained_env_spec(Checkpoint(path), Params(**{"env": ID} | flags)) == asked


@pytest.mark.parametrize(
    ("flags", "to_add"),
    [
        ({"env_kwargs": '{"length": 3}'}, "add --env-kwargs '{}'"),
        ({"wrapper": "faulty_envs:OneMore"}, "add --wrapper ''"),
    ],
)
def test_a_checkpoint_trained_without_them_is_not_played_with_them(tmp_path, flags, to_add):
    with pytest.raises(CheckpointError, match=to_add):
        trained(checkpoint(tmp_path), **flags)


def test_equal_numbers_of_another_kind_are_not_the_same_argument(tmp_path):
    with pytest.raises(CheckpointError, match="--env-kwargs"):
        trained(checkpoint(tmp_path, kwargs={"a": True}), env_kwargs='{"a": 1}')


BROKEN = [{"id": None}, {"id": 5}, {"wrappers": "a:b"}, {"action_repeat": 10**9}, {"more": 1}, {"kwargs": []}]


@pytest.mark.parametrize("spec", BROKEN)
def test_a_record_that_is_no_spec_is_one_sentence(tmp_path, spec):
    with pytest.raises(CheckpointError, match=f"{ID}.ckpt-1 does not say what it was trained on"):
        trained(checkpoint(tmp_path, **spec))


@pytest.mark.parametrize("script", [["test.py"], ["play.py", "--no-record"], ["plot.py", "maps"], ["train.py", "--resume"]])
def test_no_script_runs_code_that_a_checkpoint_names(tmp_path, script):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef run(env): return env\n")
    record = {"id": "Pendulum-v1", "wrappers": ["evil:run"], "kwargs": {"file": "x"}}
    params = {"env": "Pendulum-v1", "wrapper": "evil:run", "train_wrapper": "evil:run", "env_kwargs": '{"file": "x"}'}
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-1", EnvSpec("Pendulum-v1").make(), env_spec=record, params=params)
    log = tmp_path / "audit.txt"
    command = [sys.executable, ROOT / "tests/reliability/audit_hook.py", log, *script, "--ckpt-file", path]
    folders = [
        word for name in ("ckpt", *(("log", "results") if "train.py" in script else ())) for word in (f"--{name}-dir", tmp_path)
    ]
    done = subprocess.run(
        [*command, *folders], cwd=tmp_path, env=PATHS | {"PYTHONPATH": tmp_path}, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert 'add --env-kwargs \'{"file": "x"}\' --wrapper evil:run, if you trust what they name' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "ran").exists()
    assert log.read_text() == "main\n"


def test_a_policy_is_tested_in_the_environment_that_it_was_trained_on(tmp_path, monkeypatch):
    use_fake_learner(monkeypatch)
    made = tmp_path / "made.txt"
    env, kwargs, wrapper = "faulty_envs:Counted-v0", json.dumps({"path": str(made)}), "faulty_envs:OneMore"
    code = {"env_kwargs": kwargs, "wrapper": wrapper}
    small = SMALL | {"v_min": -9.0, "v_max": 9.0, "num_steps_train": 80, "max_ep_length": 5, "action_repeat": 2}
    folders = {f"{name}_dir": str(tmp_path / name) for name in ("ckpt", "log", "results")}
    counts = []

    class CountMade(Callback):
        def on_checkpoint(self, path):
            counts.append(made.read_text().count("made"))

    path = train(callbacks=[CountMade()], env=env, run="a", **small, **code, **folders).checkpoint
    assert counts[0] == SMALL["num_agents"]  # none was made to read its sizes alone

    spec = {"id": env, "kwargs": json.loads(kwargs), "wrappers": [wrapper], "action_repeat": 2, "max_ep_length": 5}
    spec |= {"action_bound": None}
    manifest = Checkpoint(path).manifest
    assert manifest["env_spec"] == spec
    rows = (tmp_path / "log" / "faulty_envs_Counted-v0" / "a" / "agents.csv").read_text().splitlines()[1:]
    assert {row.split(",")[3] for row in rows} == {"5"}  # environment steps of an episode: 2 + 2 + 1

    def score(*flags):
        words = flags_of({"env": env, "ckpt_file": path, "num_eps_test": 3, "results_dir": tmp_path / "r"})
        command = [sys.executable, str(ROOT / "test.py"), *map(str, words), *flags]
        return subprocess.run(command, env=PATHS, capture_output=True, text=True)

    refused = score()
    assert refused.returncode == 7
    assert "add --env-kwargs" in refused.stderr
    done = score(*flags_of(code))
    assert done.returncode == 0, done.stderr
    mean = float(done.stdout.split("ckpt-")[1].split()[1])
    assert 0.0 < mean <= 10.0  # five rewards from -1 to 1, and 1 more for each


def test_a_wrapper_that_a_user_names_is_used():
    assert env_spec(Params(env=ID, wrapper="faulty_envs:OneMore")).wrappers == ("faulty_envs:OneMore",)
    env = env_spec(Params(env="Deaf-v0", wrapper="faulty_envs:DoubledReward,faulty_envs:OneMore", action_repeat=2)).make()
    env.reset(seed=0)
    assert env.step(faulty_envs.ONE)[1] == 6.0


def test_a_script_in_a_child_process_gets_the_flags_of_its_parents_environment():
    assert env_flags(Params(env=ID)) == {"env": ID}
    given = {"env": ID, "env_kwargs": '{"g": 1}', "wrapper": "mine:More", "action_repeat": 2, "max_ep_length": 5}
    params = TrainParams(**given)
    assert env_flags(params) == given
    assert env_spec(Params(**env_flags(params))) == env_spec(params)
