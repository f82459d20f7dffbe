"""Flags: what a person types becomes parameters, or an answer that helps."""

import dataclasses
import inspect
import re

import pytest

import params
from agent.analysis.plot_params import CurvesParams, MapsParams
from agent.config import resolve
from agent.names import ALIASES
from params import ALGORITHMS, ENVS, PlayParams, TrainParams, WatchParams
from utils.errors import ParameterError
from utils.flags import parse, parse_command

CLASSES = [TrainParams, params.TestParams, WatchParams, PlayParams]


def parsed(line, cls=TrainParams):
    return parse(cls, resolve, line.split())


def given(line, cls=TrainParams):
    """The parameters that come from a flag, with their values."""
    resolved = parsed(line, cls)
    return {name: getattr(resolved.values, name) for name, source in resolved.sources.items() if source == "flag"}


def help_of(line, cls, capsys):
    """The text that --help prints, in one line, without its frame."""
    with pytest.raises(SystemExit) as exit_:
        parsed(f"{line} --help", cls)
    assert exit_.value.code == 0
    return " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


@pytest.mark.parametrize("cls", CLASSES)
def test_without_flags_nothing_counts_as_given(cls):
    assert parsed("", cls) == resolve(cls, {})


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("--num-agents 3", {"num_agents": 3}),
        ("--num_agents 3", {"num_agents": 3}),
        ("--num-agents=3", {"num_agents": 3}),
        ("--num_agents=3 --tau 0.5", {"num_agents": 3, "tau": 0.5}),
        ("--num-agents 3 --num-agents 5", {"num_agents": 5}),  # the last one counts
        ("--num-agents 4", {"num_agents": 4}),  # given, though it is the default
        ("--tau 1", {"tau": 1.0}),
        ("--tau 1e-3", {"tau": 0.001}),
        ("--v-min -5", {"v_min": -5.0}),
        ("--v-min=-5", {"v_min": -5.0}),
        ("--v-min -1e1 --v-max -.5", {"v_min": -10.0, "v_max": -0.5}),
        ("--stop-at-score -140.5", {"stop_at_score": -140.5}),
        ("--resume", {"resume": True}),
        ("--no-resume", {"resume": False}),
        ("--no_resume --use_batch_norm", {"resume": False, "use_batch_norm": True}),
        ("--noise-scale 0.1 --noise_decay 1", {"noise_scale": 0.1, "noise_decay": 1.0}),  # no "no" before "ise"
        ("--obs-scale 1 2 8", {"obs_scale": (1.0, 2.0, 8.0)}),
        ("--obs_scale 4 --tau 0.5", {"obs_scale": (4.0,), "tau": 0.5}),
        ("--obs-mean -1 -2.5 3 --resume", {"obs_mean": (-1.0, -2.5, 3.0), "resume": True}),
        ("--run second --ckpt-file Toy.ckpt-5", {"run": "second", "ckpt_file": "Toy.ckpt-5"}),
        ("--ckpt-file None --obs-clip None", {}),
    ],
)
def test_flags_become_values(line, values):
    assert given(line) == values


@pytest.mark.parametrize(("line", "render"), [("", None), ("--render", True), ("--no-render", False), ("--no_render", False)])
def test_a_switch_can_be_on_off_or_not_given(line, render):
    if render is None:
        assert parsed(line, PlayParams).values.render is None
    else:
        assert given(line, PlayParams) == {"render": render}


@pytest.mark.parametrize("name", ["render", "record"])  # tyro wants a value for the one and none for the other
@pytest.mark.parametrize(
    ("form", "value"), [(" True", True), (" False", False), ("=True", True), ("=false", False), (" true --overlay", True)]
)
def test_a_switch_may_have_its_value_spelt_out(name, form, value):
    assert given(f"--{name}{form}", PlayParams)[name] is value


@pytest.mark.parametrize("line", ["--render yes", "--render=", "--no-render True", "--record 1", "--no-record=False"])
def test_a_switch_refuses_values_other_than_true_and_false(line):
    with pytest.raises(SystemExit) as exit_:
        parsed(line, PlayParams)
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "form", ["--env BipedalWalker-v3", "--env=BipedalWalker-v3", "--env Pendulum-v1 --env BipedalWalker-v3"]
)
def test_defaults_come_from_the_environment(form):
    resolved = parsed(f"{form} --v-min -1")
    assert (resolved.values.v_min, resolved.sources["v_min"]) == (-1.0, "flag")
    assert (resolved.values.v_max, resolved.sources["v_max"]) == (40.0, "ENVS")
    assert resolved.values.num_steps_train == 100_000


def test_an_old_id_gets_the_current_values_and_a_note():
    resolved = parsed("--env LunarLanderContinuous-v2")
    assert resolved.values == parsed("--env LunarLanderContinuous-v3").values
    assert len(resolved.notes) == 1


@pytest.mark.parametrize("env", ENVS)
def test_help_shows_the_defaults_of_the_environment(env, capsys):
    text = help_of(f"--env {env}", TrainParams, capsys)
    entry = ENVS[env] | ENVS[env].get("d4pg", {})
    for name in entry.keys() - ALGORITHMS.keys():
        value = entry[name]
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        described = re.split(rf"--{name.replace('_', '-')}[ ,]", text)[1]
        assert re.search(r"\(default: (.*?)\)", described)[1] == shown


def test_help_shows_the_values_of_the_algorithm(capsys):
    text = help_of("--env Pendulum-v1 --algorithm original", TrainParams, capsys)
    assert re.search(r"--tau .*?\(default: (.*?)\)", text)[1] == "0.001"
    assert re.search(r"--learning-starts .*?\(default: (.*?)\)", text)[1] == "1000"
    assert re.search(r"--num-steps-train .*?\(default: (.*?)\)", text)[1] == "50000"  # of the environment


def test_help_reads_the_last_env_as_the_training_does(capsys):
    text = help_of("--env Pendulum-v1 --env BipedalWalker-v3", TrainParams, capsys)
    assert re.search(r"--v-min .*?\(default: (.*?)\)", text)[1] == "-40.0"


@pytest.mark.parametrize("cls", CLASSES)
def test_help_explains_every_parameter_by_its_comment(cls, capsys):
    text = help_of("", cls, capsys)
    source = "".join(map(inspect.getsource, reversed(cls.__mro__[:-1])))
    comments = dict(re.findall(r"^    (\w+): .*?  # (.*)$", source, re.MULTILINE))
    assert set(comments) == {field.name for field in dataclasses.fields(cls)}
    assert [comment for comment in comments.values() if comment not in text] == []
    assert help_of("--env Hopper-v5", cls, capsys)  # help must not need what is missing


@pytest.mark.parametrize(
    "line",
    [
        "--num-agents x",
        "--num-agents 1.5",
        "--num-agents",
        "--obs-scale 1 x",
        "--render yes",
        "stray",
    ],
)
def test_an_unreadable_argument_ends_with_code_2(line, capsys):
    with pytest.raises(SystemExit) as exit_:
        parsed(line)
    assert exit_.value.code == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert line.split()[-1] in said.out + said.err


@pytest.mark.timeout(120)
@pytest.mark.parametrize("columns", ["1", "5", "0", "-3", "wide"])
def test_help_ends_in_a_terminal_of_any_width(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert "--env" in help_of("", PlayParams, capsys)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("--num-agnts 3", "there is no flag --num-agnts, did you mean --num-agents?"),
        ("--num-ag=3", "there is no flag --num-ag, did you mean --num-agents?"),  # an abbreviation is a misspelling
        ("--norender", "there is no flag --norender, did you mean --render?"),
        ("--lr 1e-3", "there is no flag --lr, did you mean --critic-learning-rate or --actor-learning-rate?"),
        ("--gamma 0.9", "there is no flag --gamma, did you mean --discount-rate?"),
        ("--steps 5", "there is no flag --steps, did you mean --num-steps-train?"),
        ("--seed 5", "there is no flag --seed, did you mean --random-seed?"),
        ("--n-step 5", "there is no flag --n-step, did you mean --n-step-returns?"),
        ("--name second", "there is no flag --name, did you mean --run?"),
        ("--zzzzzz", "there is no flag --zzzzzz"),
    ],
)
def test_an_unknown_flag_suggests_the_nearest_flag(line, answer):
    with pytest.raises(ParameterError) as error:
        parse(TrainParams, resolve, line.split(), aliases=ALIASES)
    assert str(error.value) == answer


def test_unknown_flags_are_reported_with_bad_values_and_with_words_that_cannot_be_read(capsys):
    with pytest.raises(ParameterError, match="no flag --num-agnts.*; there is no flag --taus.*; batch_size must be at least 1"):
        parsed("--num-agnts 3 --batch-size 0 --taus=1")
    with pytest.raises(SystemExit):
        parsed("--num-agnts 3 --batch-size x")
    said = capsys.readouterr().err
    assert "--num-agents" in said
    assert "--batch-size" in said


def test_help_has_the_essentials_first_and_all_others_in_groups(capsys):
    text = help_of("", TrainParams, capsys)
    groups = re.findall(r"(\w+) options", text.partition("show this help")[2])
    assert groups == ["essentials", "learning", "replay", "networks", "exploration", "agents", "run", "checkpoints"]
    essentials, rest = text.split("learning options")
    for flag in ("env", "num-steps-train", "run", "resume", "random-seed", "reward-scale", "v-min", "v-max"):
        assert f"--{flag} " in essentials.replace(",", " ")
    assert "--tau " in rest


def test_every_alias_names_parameters_that_exist_and_is_none_itself():
    names = {field.name for cls in CLASSES for field in dataclasses.fields(cls)}
    for alias, meant in ALIASES.items():
        assert alias not in names
        assert set(meant) <= names


def test_all_bad_values_come_in_one_error_with_code_2():
    with pytest.raises(ParameterError) as error:
        parsed("--num-agents 0 --tau=7 --v-min nan --discount_rate -1")
    assert error.value.exit_code == 2
    assert all(name in str(error.value) for name in ("num_agents", "tau", "v_min", "discount_rate"))


def test_an_environment_without_an_entry_needs_nothing():
    assert parsed("--env Hopper-v5").values.has_automatic_support
    assert parsed("--env Hopper-v5 --v-min 0 --v-max 100").values.support == (0.0, 100.0)


def test_no_numbers_after_a_flag_that_takes_many_are_refused():
    with pytest.raises(ParameterError, match="obs_scale must not be empty"):
        parsed("--obs-scale")


def test_without_argv_the_flags_of_the_process_are_read(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "--num-agents", "2"])
    assert parse(TrainParams, resolve).values.num_agents == 2


# ---- a first word that is a command


COMMANDS = {"curves": CurvesParams, "maps": MapsParams}


def test_the_first_word_selects_the_command():
    resolved = parse_command(COMMANDS, resolve, ["maps", "--env", "BipedalWalker-v3", "--x-dim", "2", "--state", "1", "2", "3"])
    values = resolved.values
    assert (type(values), values.env, values.x_dim, values.state) == (MapsParams, "BipedalWalker-v3", 2, (1.0, 2.0, 3.0))
    assert {name for name, source in resolved.sources.items() if source == "flag"} == {"env", "x_dim", "state"}
    assert parse_command(COMMANDS, resolve, ["curves", "--runs", "a", "b", "--mean"]).values.runs == ("a", "b")


def test_a_bad_value_of_a_command_is_refused_with_all_others():
    with pytest.raises(ParameterError, match=r"runs must be a plain folder name.*; x must be .*got 'hours'"):
        parse_command(COMMANDS, resolve, ["curves", "--runs", "a/b", "--x", "hours"])


def test_a_flag_of_another_command_is_unknown():
    with pytest.raises(ParameterError, match="there is no flag --mean"):
        parse_command(COMMANDS, resolve, ["maps", "--mean"])


@pytest.mark.parametrize("line", ["", "mops"])
def test_a_command_that_does_not_exist_ends_with_code_2(line, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_command(COMMANDS, resolve, line.split())
    assert exit_.value.code == 2
    assert "maps" in capsys.readouterr().err
