"""Which checkpoint a training goes on from. Checkpoints of nothing but a step: no learner is needed to choose one."""

import shutil
import subprocess
import sys
from dataclasses import asdict

import pytest

from agent.config import recorded, resolve
from agent.environment import env_spec
from agent.training.resume import checkpoint_to_resume, next_resume_count, nothing_to_do, resolve_training
from params import ENVS, HERE, TrainParams
from utils.errors import CheckpointError, ParameterError
from utils.storage.checkpoints import Checkpoint, checkpoint_path, list_checkpoints
from utils.storage.run_folder import Run
from utils.storage.verified_folder import write_verified


def small(**changes):
    return TrainParams(v_min=-20.0, v_max=0.0, **changes)


def saved(folder, steps, **given):
    """A run with checkpoints of these learner steps that was trained with `given`, and whose lock has been released."""
    run = Run(folder)
    config = resolve(TrainParams, given).values
    about = {"run_id": run.run_id, "env": config.env, "params": recorded(config), "env_spec": asdict(env_spec(config))}
    for step in steps:
        files = {"learner.npz": {}, "state.json": {"incarnation": 0}}
        write_verified(checkpoint_path(folder, "Pendulum-v1", step), files, about | {"learner_step": step})
        run.report("training", step)
    run.close()


def test_a_folder_that_holds_a_run_is_refused_with_the_ways_out(tmp_path):
    saved(tmp_path / "E", [10])
    with pytest.raises(ParameterError, match="--resume.*--fresh.*--run NAME"):
        checkpoint_to_resume(Run(tmp_path / "E"), small())


def test_fresh_moves_the_old_run_aside(tmp_path):
    saved(tmp_path / "E", [10])
    run = Run(tmp_path / "E")
    old = run.run_id
    checkpoint, notes = checkpoint_to_resume(run, small(fresh=True))
    assert checkpoint is None
    assert run.run_id != old
    assert list_checkpoints(tmp_path / "E") == []
    (aside,) = (tmp_path / "E").glob("before-*")
    assert {path.name for path in aside.iterdir()} == {"run.json", "Pendulum-v1.ckpt-10"}
    assert str(aside) in notes[0]


def test_fresh_moves_nothing_when_the_named_checkpoint_cannot_be_used(tmp_path):
    saved(tmp_path / "E", [10])
    with pytest.raises(CheckpointError, match="there is no checkpoint typo"):
        checkpoint_to_resume(Run(tmp_path / "E"), small(fresh=True, ckpt_file="typo"))
    assert len(list_checkpoints(tmp_path / "E")) == 1


def test_fresh_can_begin_from_a_checkpoint_of_the_run_that_it_moves(tmp_path):
    saved(tmp_path / "E", [10])
    checkpoint, _ = checkpoint_to_resume(Run(tmp_path / "E"), small(fresh=True, ckpt_file="Pendulum-v1.ckpt-10"))
    assert checkpoint.step == 10
    assert checkpoint.path.parent.name.startswith("before-")


def test_resume_takes_the_newest_valid_checkpoint_and_names_skipped_ones(tmp_path):
    saved(tmp_path / "E", [10, 20, 30])
    (tmp_path / "E" / "Pendulum-v1.ckpt-30" / "learner.npz").write_bytes(b"")
    run = Run(tmp_path / "E")
    checkpoint, notes = checkpoint_to_resume(run, small(resume=True))
    assert checkpoint.step == 20
    assert "ckpt-30" in notes[0]
    assert checkpoint.run_id == run.run_id


def test_resume_refuses_damaged_checkpoints_and_starts_in_an_empty_folder(tmp_path):
    saved(tmp_path / "E", [10])
    (tmp_path / "E" / "Pendulum-v1.ckpt-10" / "learner.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="--fresh"):
        checkpoint_to_resume(Run(tmp_path / "E"), small(resume=True))
    checkpoint, notes = checkpoint_to_resume(Run(tmp_path / "F"), small(resume=True))
    assert checkpoint is None
    assert "no checkpoint to resume" in notes[0]


def test_an_older_checkpoint_of_the_run_sets_the_newer_ones_aside(tmp_path):
    saved(tmp_path / "E", [10, 20, 30])
    checkpoint, notes = checkpoint_to_resume(Run(tmp_path / "E"), small(resume=True, ckpt_file="Pendulum-v1.ckpt-10"))
    assert checkpoint.step == 10
    assert [path.name for path in list_checkpoints(tmp_path / "E")] == ["Pendulum-v1.ckpt-10"]
    assert notes[0].startswith("2 newer")


def test_an_older_checkpoint_can_be_chosen_though_a_newer_one_is_damaged(tmp_path):
    saved(tmp_path / "E", [10, 20])
    manifest = tmp_path / "E/Pendulum-v1.ckpt-20/manifest.json"
    manifest.write_text(manifest.read_text()[:50])
    checkpoint, notes = checkpoint_to_resume(Run(tmp_path / "E"), small(resume=True, ckpt_file="Pendulum-v1.ckpt-10"))
    assert checkpoint.step == 10
    assert notes[0].startswith("1 newer")


def test_a_foreign_checkpoint_begins_a_run_in_an_empty_folder_only(tmp_path):
    saved(tmp_path / "E", [10])
    path = str(tmp_path / "E" / "Pendulum-v1.ckpt-10")
    checkpoint, _ = checkpoint_to_resume(Run(tmp_path / "F"), small(ckpt_file=path))
    assert checkpoint.step == 10
    saved(tmp_path / "G", [10])
    with pytest.raises(ParameterError, match="already holds a run"):
        checkpoint_to_resume(Run(tmp_path / "G"), small(ckpt_file=path))


def test_each_resume_draws_from_new_seeds(tmp_path):
    saved(tmp_path / "E", [10])
    assert next_resume_count(None) == 0
    assert next_resume_count(Checkpoint(tmp_path / "E" / "Pendulum-v1.ckpt-10")) == 1


# ---- the parameters of a continued training


def trained(root, run="", **given):
    """A run of 5 000 learner steps below `root`."""
    saved(root / "Pendulum-v1" / run, [2500, 5000], num_steps_train=5000, random_seed=1, dense1_size=16, **given)


def continued(root, **given):
    """Each parameter with its source that a training continued in `root` has, if it is no default."""
    resolved = resolve_training(TrainParams, {"ckpt_dir": str(root), **given})
    values = vars(resolved.values)
    return {name: (values[name], source) for name, source in resolved.sources.items() if source != "default"}, resolved.notes


def test_a_resumed_run_keeps_its_parameters_and_flags_override_them(tmp_path):
    trained(tmp_path, tau=0.5)
    values, notes = continued(tmp_path, resume=True, num_steps_train=8000)
    assert values["random_seed"] == (1, "run")
    assert values["dense1_size"] == (16, "run")
    assert values["tau"] == (0.5, "run")
    assert values["v_min"] == (-10.0, "run")
    assert values["num_steps_train"] == (8000, "flag")
    assert notes == [f"Parameters are those recorded in {tmp_path}/Pendulum-v1/Pendulum-v1.ckpt-5000; flags override them."]
    assert resolve_training(TrainParams, {"ckpt_dir": str(tmp_path), "resume": True}).values.num_steps_train == 5000


def test_a_run_whose_entry_in_envs_was_changed_is_resumed_as_it_was(tmp_path, monkeypatch):
    trained(tmp_path)
    monkeypatch.setitem(ENVS, "Pendulum-v1", {**ENVS["Pendulum-v1"], "v_min": -30.0, "obs_clip": 5.0, "d4pg": {"tau": 0.25}})
    values, _ = continued(tmp_path, resume=True)
    assert [values[name] for name in ("v_min", "obs_clip", "tau")] == [(-10.0, "run"), (None, "run"), (0.005, "run")]


def test_a_run_whose_support_came_from_flags_is_resumed_without_them(tmp_path):
    saved(tmp_path / "Toy-v0", [10], env="Toy-v0", v_min=-3.0, v_max=3.0)
    values, _ = continued(tmp_path, env="Toy-v0", resume=True)
    assert values["v_max"] == (3.0, "run")


def test_a_new_run_from_the_checkpoint_of_another_takes_the_networks_alone(tmp_path):
    trained(tmp_path, run="first", tau=0.5)
    path = str(tmp_path / "Pendulum-v1/first/Pendulum-v1.ckpt-2500")
    for resume in (False, True):
        values, notes = continued(tmp_path, run="second", ckpt_file=path, resume=resume)
        assert values["dense1_size"] == (16, "run")
        assert "tau" not in values  # the default
        assert values["num_steps_train"] == (100_000, "ENVS")
        assert "random_seed" not in values
        assert notes == [f"The networks have the shapes and scaling recorded in {path}; all else is as for a new run."]


def test_a_resumed_run_gets_numbers_from_its_record_and_code_from_flags_or_envs(tmp_path, monkeypatch):
    trained(tmp_path, action_repeat=2, env_kwargs='{"g": "x"}', wrapper="evil:Run")
    words = 'add --env-kwargs \'{"g": "x"}\' --wrapper evil:Run, if you trust what they name'
    with pytest.raises(CheckpointError, match=words):
        continued(tmp_path, resume=True)
    values, _ = continued(tmp_path, resume=True, env_kwargs='{"g":"x"}', wrapper="evil:Run")
    assert values["action_repeat"] == (2, "run")
    entry = ENVS["Pendulum-v1"] | {"env_kwargs": '{"g": "x"}', "wrapper": "evil:Run"}
    monkeypatch.setitem(ENVS, "Pendulum-v1", entry)
    assert continued(tmp_path, resume=True)[0]["wrapper"] == ("evil:Run", "ENVS")


def test_numbers_for_the_constructor_and_the_clip_of_rewards_go_on_without_a_flag(tmp_path):
    trained(tmp_path, env_kwargs='{"g": 9.8}', reward_clip=(-1.0, 1.0))
    values, _ = continued(tmp_path, resume=True)
    assert values["env_kwargs"] == ('{"g": 9.8}', "run")
    assert values["reward_clip"] == ((-1.0, 1.0), "run")
    path = str(tmp_path / "Pendulum-v1/Pendulum-v1.ckpt-5000")
    values, _ = continued(tmp_path, run="second", ckpt_file=path)
    assert values["env_kwargs"] == ('{"g": 9.8}', "run")
    assert "reward_clip" not in values


def test_a_wrapper_of_the_training_needs_its_flag_again(tmp_path):
    trained(tmp_path, train_wrapper="mine:Shaped")
    with pytest.raises(CheckpointError, match="was trained in mine:Shaped; add --train-wrapper mine:Shaped, if you trust"):
        continued(tmp_path, resume=True)
    trained(tmp_path / "both", train_wrapper="mine:Shaped", wrapper="evil:Run")
    with pytest.raises(CheckpointError, match=r"add --wrapper evil:Run, .* Also add --train-wrapper mine:Shaped, if you"):
        continued(tmp_path / "both", resume=True)
    for wrapper in ("mine:Shaped", "mine:Other", ""):
        assert continued(tmp_path, resume=True, train_wrapper=wrapper)[0]["train_wrapper"] == (wrapper, "flag")
    continued(tmp_path, run="second", ckpt_file=str(tmp_path / "Pendulum-v1/Pendulum-v1.ckpt-5000"))  # a new run may differ


def test_an_older_record_without_arguments_takes_those_of_envs(tmp_path, monkeypatch):
    run = Run(tmp_path / "Pendulum-v1")
    spec = {"id": "Pendulum-v1", "kwargs": {"g": "x"}}
    manifest = {"learner_step": 10, "run_id": run.run_id, "env": "Pendulum-v1", "params": {"tau": 0.5}, "env_spec": spec}
    write_verified(checkpoint_path(run.folder, "Pendulum-v1", 10), {"state.json": {}}, manifest)
    run.close()
    monkeypatch.setitem(ENVS, "Pendulum-v1", ENVS["Pendulum-v1"] | {"env_kwargs": '{"g": "x"}'})
    assert continued(tmp_path, resume=True)[0]["env_kwargs"] == ('{"g": "x"}', "ENVS")


def test_a_training_wrapper_that_is_no_text_is_an_error_of_the_checkpoint(tmp_path):
    run = Run(tmp_path / "Pendulum-v1")
    manifest = {"learner_step": 10, "run_id": run.run_id, "env": "Pendulum-v1", "params": {"train_wrapper": 5}}
    write_verified(checkpoint_path(run.folder, "Pendulum-v1", 10), {"state.json": {}}, manifest)
    run.close()
    with pytest.raises(CheckpointError, match="was trained in 5"):
        continued(tmp_path, resume=True)


def test_a_resumed_run_keeps_its_algorithm(tmp_path):
    trained(tmp_path, algorithm="ddpg", value_head="scalar")
    with pytest.raises(ParameterError, match="a resumed run keeps its algorithm, ddpg: leave out --algorithm"):
        continued(tmp_path, resume=True, algorithm="td3")
    for given in ({}, {"algorithm": "ddpg"}):
        assert continued(tmp_path, resume=True, **given)[0]["value_head"] == ("scalar", "run")


def test_flags_that_do_not_fit_the_networks_are_refused_before_the_training(tmp_path):
    trained(tmp_path, run="first")
    path = str(tmp_path / "Pendulum-v1/first/Pendulum-v1.ckpt-2500")
    for given in (dict(run="first", resume=True), dict(ckpt_file=path)):
        with pytest.raises(CheckpointError, match="value_head was categorical and is scalar; num_critics was 1 and is 2"):
            continued(tmp_path, num_critics=2, value_head="scalar", **given)


def test_a_record_does_not_choose_folders_or_what_a_call_does(tmp_path):
    run = Run(tmp_path / "Pendulum-v1")
    params = {"ckpt_dir": "/elsewhere", "debug": True, "render": True, "max_minutes": 1.0, "fresh": True, "tau": 0.5}
    manifest = {"learner_step": 10, "run_id": run.run_id, "env": "Pendulum-v1", "params": params}
    write_verified(checkpoint_path(run.folder, "Pendulum-v1", 10), {"state.json": {}}, manifest)
    run.close()
    values, _ = continued(tmp_path, resume=True)
    assert values["ckpt_dir"] == (str(tmp_path), "flag")
    assert values["tau"] == (0.5, "run")
    assert values["saturation_penalty"] == (0.0, "run")  # which this record lacks: the entry's is for runs that are newer
    assert not {"debug", "render", "max_minutes", "fresh"} & set(values)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (["tau"], "cannot be used: they are \\['tau'\\]"),
        ({"tau": "x", "num_agents": 0}, "tau must be a number, got 'x'; num_agents must be at least 1, got 0"),
        ({"env": "Hopper-v5"}, "was trained on Hopper-v5, not on Pendulum-v1; add --env Hopper-v5"),
    ],
)
def test_a_record_that_cannot_be_used_is_an_error_of_the_checkpoint(tmp_path, params, words):
    run = Run(tmp_path / "Pendulum-v1")
    manifest = {"learner_step": 10, "run_id": run.run_id, "env": "Pendulum-v1", "params": params}
    write_verified(checkpoint_path(run.folder, "Pendulum-v1", 10), {"state.json": {}}, manifest)
    with pytest.raises(CheckpointError, match=words):
        continued(tmp_path, resume=True)


def test_bad_flags_are_reported_all_at_once_when_resuming_too(tmp_path):
    trained(tmp_path)
    with pytest.raises(ParameterError, match="run must be a plain folder name.*; num_agents must be at least 1"):
        continued(tmp_path, resume=True, run="a/b", num_agents=0)
    with pytest.raises(ParameterError, match="tau must be at most 1, got 7; num_agents must be at least 1, got 0"):
        continued(tmp_path, resume=True, num_agents=0, tau=7)


def test_resuming_a_finished_run_says_which_flag_to_add_and_does_nothing(tmp_path):
    trained(tmp_path)
    folders = ["--ckpt-dir", tmp_path, "--log-dir", tmp_path / "logs", "--results-dir", tmp_path / "results"]
    command = [sys.executable, HERE / "train.py", "--resume", *folders]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "has reached learner step 5,000 of 5,000, so the training is complete; add --num-steps-train" in done.stdout
    assert not (tmp_path / "logs/Pendulum-v1/learner.csv").exists()
    newest = Checkpoint(tmp_path / "Pendulum-v1/Pendulum-v1.ckpt-5000")
    assert nothing_to_do(newest, small(num_steps_train=5001)) is None
    assert nothing_to_do(None, small(num_steps_train=1)) is None


NOISE = ("noise", "noise_scale_per", "samples_per_insert", "normalise_observations")


def without(folder, *names):
    """Remove fields from what the checkpoint of step 10 records."""
    path = checkpoint_path(folder, "Pendulum-v1", 10)
    about = Checkpoint(path).manifest
    params = {name: value for name, value in about["params"].items() if name not in names}
    shutil.rmtree(path)
    files = {"learner.npz": {}, "state.json": {"incarnation": 0}}
    write_verified(
        path, files, {name: about[name] for name in ("run_id", "env", "env_spec", "learner_step")} | {"params": params}
    )


def test_a_run_of_the_first_version_keeps_its_noise_ratio_and_observations(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVS, "Pendulum-v1", {})
    saved(tmp_path / "Pendulum-v1", [10], noise_scale=0.2)
    without(tmp_path / "Pendulum-v1", *NOISE)
    values = resolve_training(TrainParams, dict(ckpt_dir=str(tmp_path), resume=True)).values
    assert values.noise_scale == 0.2
    assert [getattr(values, name) for name in NOISE] == ["gaussian", "same", 32.0, False]


def test_a_run_from_before_two_critics_norms_clips_and_schedules_keeps_its_networks_rewards_and_rates(tmp_path, monkeypatch):
    entry = dict(num_critics=2, layer_norm=True, reward_clip=(-10.0, 10.0), learning_rate_schedule="linear")
    monkeypatch.setitem(ENVS, "Pendulum-v1", entry)
    saved(tmp_path / "Pendulum-v1", [10])
    without(tmp_path / "Pendulum-v1", *entry)
    values = resolve_training(TrainParams, dict(ckpt_dir=str(tmp_path), resume=True)).values
    assert [getattr(values, name) for name in entry] == [1, False, None, "constant"]


def test_a_new_run_from_a_checkpoint_has_the_noise_and_the_ratio_of_a_new_run(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVS, "Pendulum-v1", {})
    saved(tmp_path / "Pendulum-v1", [10])
    path = str(checkpoint_path(tmp_path / "Pendulum-v1", "Pendulum-v1", 10))
    for observations in (True, False):  # the second time the checkpoint is one of the first version
        values = resolve_training(TrainParams, dict(ckpt_dir=str(tmp_path), ckpt_file=path, run="new")).values
        assert [getattr(values, name) for name in NOISE] == ["ou", "agent", 128.0, observations]
        without(tmp_path / "Pendulum-v1", *NOISE)
