"""Parameters: where each value comes from, and every rule that it has to keep."""

import dataclasses
import itertools
import math
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reliability import fuzzed_params
from reliability.fuzzed_params import CLASSES, bounds_of, kind_of

import params
from agent.analysis import plot_params
from agent.analysis.plot_params import CurvesParams
from agent.config import ATOM_DISTANCE, folder_name, resolve, run_folder
from agent.names import RENAMED
from params import ALGORITHMS, ENVS, PlayParams, TrainParams, WatchParams
from utils.errors import ParameterError

FIELDS = [(cls, field.name) for cls in CLASSES for field in dataclasses.fields(cls)]


def problems(cls, **values):
    """The sentences that `values` are refused with; none when they are accepted."""
    try:
        resolve(cls, values)
    except ParameterError as error:
        return str(error).split("; ")
    return []


def accused(cls, values):
    """The first words of these sentences: the parameters that they blame."""
    return {sentence.split()[0] for sentence in problems(cls, **values)}


# ---- where a value comes from


@pytest.mark.parametrize("cls", CLASSES)
def test_the_defaults_keep_every_rule(cls):
    resolved = resolve(cls, {})
    assert resolved.values.env == params.ENV
    assert resolved.notes == []


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("env", ENVS)
def test_every_entry_of_envs_resolves(env, cls):
    resolved, entry = resolve(cls, dict(env=env)), ENVS[env] | ENVS[env].get("d4pg", {})
    for name in {field.name for field in dataclasses.fields(cls)} & set(entry):
        assert getattr(resolved.values, name) == entry[name]
        assert resolved.sources[name] == "ENVS"


# msinto93/D4PG's rates, and the other settings that --algorithm original brings back.
RATES = dict(critic_learning_rate=1e-4, actor_learning_rate=1e-4, tau=0.001, learning_starts=1000, saturation_penalty=0.0)
SETTINGS = dict(
    learning_rate_schedule="constant",
    priority="cross_entropy",
    noise="gaussian",
    noise_scale=0.3,
    noise_scale_per="same",
    noise_decay=0.9999,
    noise_decay_per="episode",
    samples_per_insert=32.0,
)


@pytest.mark.parametrize("env", [*ENVS, "Toy-v0"])
def test_the_original_has_its_own_rates_and_the_environments_scales(env):
    resolved = resolve(TrainParams, dict(env=env, algorithm="original", **{} if env in ENVS else {"v_min": 0.0, "v_max": 1.0}))
    for name, value in (RATES | SETTINGS).items():
        assert getattr(resolved.values, name) == value
    assert {resolved.sources[name] for name in RATES} == {"ALGORITHMS"}
    assert resolved.values.num_steps_train == ENVS.get(env, {}).get("num_steps_train", 100_000)
    assert resolved.values.reward_scale == ENVS.get(env, {}).get("reward_scale", 1.0)


def test_an_entry_separates_the_environment_from_rates_for_one_algorithm(monkeypatch):
    entry = dict(v_min=-1.0, v_max=1.0, tau=0.5, d4pg=dict(tau=0.25, num_steps_train=7), original=dict(noise_scale=0.1))
    monkeypatch.setitem(ENVS, "Toy-v0", entry)

    def taken(name, algorithm, record=None, **given):
        resolved = resolve(TrainParams, dict(env="Toy-v0", algorithm=algorithm, **given), record)
        return getattr(resolved.values, name), resolved.sources[name]

    assert taken("tau", None) == taken("tau", "d4pg") == (0.25, "ENVS")
    assert taken("num_steps_train", "d4pg") == (7, "ENVS")
    assert taken("tau", "original") == (0.5, "ENVS")  # an entry beats the algorithm
    assert taken("noise_scale", "original") == (0.1, "ENVS")
    assert taken("learning_starts", "original") == (1000, "ALGORITHMS")
    assert taken("learning_starts", None, {"algorithm": "original"}) == (1000, "ALGORITHMS")  # a run's record names it
    assert taken("learning_starts", "original", {"learning_starts": 5}) == (5, "run")
    assert taken("learning_starts", "original", learning_starts=6) == (6, "flag")
    assert taken("num_steps_train", "original") == (100_000, "default")


@pytest.mark.parametrize("given", [{"obs_scale": (2.0,)}, {"obs_mean": (1.0,)}, {"normalise_observations": False}])
def test_given_scales_replace_the_running_ones(given):
    assert not TrainParams(**given).has_running_observations


def test_a_flag_that_the_scales_of_an_entry_leave_without_effect_is_said():
    notes = resolve(TrainParams, {"env": "Pendulum-v1", "normalise_observations": True}).notes
    assert notes == ["normalise_observations has no effect: observations are scaled by obs_scale, which is from ENVS."]
    for flags in ({}, {"normalise_observations": False}):
        assert resolve(TrainParams, {"env": "Pendulum-v1", **flags}).notes == []
    assert resolve(TrainParams, {"env": "BipedalWalker-v3", "normalise_observations": True}).notes == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"scalar_loss": "huber"}, ["scalar_loss has no effect, since value_head is categorical."]),
        ({"scalar_loss": "huber", "algorithm": "ddpg"}, []),
        ({"num_atoms": 11, "algorithm": "td3"}, ["num_atoms has no effect, since value_head is scalar."]),
        ({"actor_value": "lower"}, ["actor_value has no effect, since num_critics is 1."]),
        ({"actor_value": "lower", "num_critics": 2}, []),
        ({"ou_theta": 0.3}, ["ou_theta has no effect, since noise is gaussian."]),  # by the entry of Pendulum
        ({"ou_theta": 0.3, "noise": "ou"}, []),
        ({"ray_cpus_per_agent": 0.5}, ["ray_cpus_per_agent has no effect, since runner is threads."]),
        ({"ray_cpus_per_agent": 0.5, "runner": "ray"}, []),
    ],
)
def test_flags_that_another_parameter_leaves_without_effect_are_said(flags, said):
    assert resolve(TrainParams, {"env": "Pendulum-v1"} | flags).notes == said


def test_arguments_of_a_constructor_may_be_a_dictionary(monkeypatch):
    given = {"env": "Pendulum-v1", "env_kwargs": {"g": 9.8}}
    assert resolve(TrainParams, given).values.env_kwargs == '{"g": 9.8}'
    monkeypatch.setitem(ENVS, "Pendulum-v1", ENVS["Pendulum-v1"] | {"env_kwargs": {"g": 1}})
    assert resolve(TrainParams, {"env": "Pendulum-v1"}).values.env_kwargs == '{"g": 1}'
    assert "env_kwargs must be text" in problems(TrainParams, env_kwargs={"g": object()})[0]


def test_an_entry_may_name_the_algorithm(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, algorithm="original", d4pg=dict(tau=0.25)))
    assert resolve(TrainParams, dict(env="Toy-v0")).values.tau == 0.001
    assert resolve(TrainParams, dict(env="Toy-v0", algorithm="d4pg")).values.tau == 0.25


def test_every_entry_of_algorithms_holds_parameters():
    for values in ALGORITHMS.values():
        assert values.keys() <= vars(TrainParams()).keys()
    assert problems(TrainParams, algorithm="d4") == ["algorithm must be one of d4pg, original, ddpg, td3, got 'd4'"]


def test_environments_without_an_entry_have_defaults_that_learn():
    values = resolve(TrainParams, dict(env="Toy-v0", v_min=0.0, v_max=1.0)).values
    expected = dict(critic_learning_rate=5e-4, actor_learning_rate=3e-4, tau=0.005, learning_starts=10_000)
    expected |= dict(saturation_penalty=1e-3, num_steps_train=100_000)
    assert {name: getattr(values, name) for name in expected} == expected


def test_a_flag_beats_envs_and_envs_beats_the_default(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, tau=0.5, num_atoms=11))
    resolved = resolve(TrainParams, dict(env="Toy-v0", tau=0.25))
    assert (resolved.values.tau, resolved.sources["tau"]) == (0.25, "flag")
    assert (resolved.values.num_atoms, resolved.sources["num_atoms"]) == (11, "ENVS")
    assert (resolved.values.batch_size, resolved.sources["batch_size"]) == (256, "default")
    assert resolved.sources["env"] == "flag"


def test_a_flag_beats_the_record_and_the_record_beats_envs(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, tau=0.5, num_atoms=11, obs_clip=5.0))
    record = dict(tau=0.125, num_atoms=21, obs_scale=[1.0, 2.0], obs_clip=None, from_a_later_version=1)
    resolved = resolve(TrainParams, dict(env="Toy-v0", tau=0.25), record)
    assert (resolved.values.tau, resolved.sources["tau"]) == (0.25, "flag")
    assert (resolved.values.num_atoms, resolved.sources["num_atoms"]) == (21, "run")
    assert (resolved.values.v_min, resolved.sources["v_min"]) == (-1.0, "ENVS")
    assert (resolved.values.batch_size, resolved.sources["batch_size"]) == (256, "default")
    assert resolved.values.obs_scale == (1.0, 2.0)  # JSON knows no tuples
    assert (resolved.values.obs_clip, resolved.sources["obs_clip"]) == (None, "run")  # what was not set then stays so


@pytest.mark.parametrize("cls", CLASSES)
def test_none_means_not_given(cls):
    nothing = dict.fromkeys((field.name for field in dataclasses.fields(cls)), None)
    assert resolve(cls, nothing) == resolve(cls, {})


def test_none_in_envs_means_not_given_either(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, tau=None))
    resolved = resolve(TrainParams, dict(env="Toy-v0"))
    assert (resolved.values.tau, resolved.sources["tau"]) == (0.005, "default")


@pytest.mark.parametrize("value", [False, 0, 0.0, ""])
def test_falsy_values_count_as_given(monkeypatch, value):
    name = {bool: "use_batch_norm", int: "target_update_period", float: "critic_l2_lambda", str: "run"}[type(value)]
    other = {bool: True, int: 100, float: 0.5, str: "else"}[type(value)]
    monkeypatch.setitem(ENVS, "Toy-v0", {"v_min": -1.0, "v_max": 1.0, name: other})
    assert getattr(resolve(TrainParams, dict(env="Toy-v0")).values, name) == other
    resolved = resolve(TrainParams, {"env": "Toy-v0", name: value})
    assert (getattr(resolved.values, name), resolved.sources[name]) == (value, "flag")


def test_entry_values_reach_the_other_scripts_where_shared(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, wrapper="mine:Wrapper"))
    sharing = [cls for cls in CLASSES if (cls, "wrapper") in FIELDS]
    assert len(sharing) >= 4
    assert {resolve(cls, dict(env="Toy-v0")).values.wrapper for cls in sharing} == {"mine:Wrapper"}


def test_the_seeds_of_an_entry_are_those_of_training_alone(monkeypatch):
    # The seeds that choose a checkpoint are never those of a published score, and training uses neither.
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, random_seed=7))
    seeded = [cls for cls in CLASSES if (cls, "random_seed") in FIELDS]
    assert {resolve(cls, dict(env="Toy-v0")).values.random_seed for cls in seeded[1:]} == {0, 1_000_000, 999_999}
    assert resolve(TrainParams, dict(env="Toy-v0")).values.random_seed == 7


def test_differing_lists_what_is_no_class_default_with_its_source():
    assert resolve(TrainParams, dict(env="BipedalWalker-v3", tau=0.5, batch_size=256)).overrides() == {
        "env": "BipedalWalker-v3 (flag)",
        "reward_scale": "10.0 (ENVS)",
        "critic_learning_rate": "0.001 (ENVS)",
        "learning_rate_schedule": "linear (ENVS)",
        "tau": "0.5 (flag)",
        "samples_per_insert": "32.0 (ENVS)",
        "normalise_observations": "False (ENVS)",
        "noise": "gaussian (ENVS)",
        "noise_scale": "0.1 (ENVS)",
        "noise_scale_per": "same (ENVS)",
        "priority_alpha": "0.0 (ENVS)",
        "num_critics": "2 (ENVS)",
        "layer_norm": "True (ENVS)",
        "reward_clip": "(-10.0, 10.0) (ENVS)",
        "v_min": "-40.0 (ENVS)",
        "v_max": "40.0 (ENVS)",
    }


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_never_change_once_made(cls):
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls().env = "other"


# ---- names


@pytest.mark.parametrize(
    ("cls", "name", "nearest"),
    [
        (TrainParams, "num_agnts", "num_agents"),
        (TrainParams, "batchsize", "batch_size"),
        (TrainParams, "n_steps_returns", "n_step_returns"),
        (params.TestParams, "num_ep_test", "num_eps_test"),
        (WatchParams, "exit_when_don", "exit_when_done"),
        (PlayParams, "formats", "format"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(cls, name, nearest):
    assert problems(cls, **{name: 1}) == [f"there is no parameter {name}, did you mean {nearest}?"]


def test_a_name_like_no_other_gets_no_suggestion():
    assert problems(TrainParams, zzzzzz=1) == ["there is no parameter zzzzzz"]


def test_a_misspelt_name_in_envs_is_reported_with_its_entry(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, nun_atoms=11))
    monkeypatch.setitem(ENVS, "Game-v0", dict(v_min=-1.0, v_max=1.0, original=dict(nun_atoms=11)))
    for cls, env in itertools.product(CLASSES, ("Toy-v0", "Game-v0")):
        assert problems(cls, env=env) == [f"ENVS['{env}']: there is no parameter nun_atoms, did you mean num_atoms?"]


def test_a_bad_value_in_envs_is_refused_like_any_other(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(v_min=-1.0, v_max=1.0, num_atoms=1))
    assert problems(TrainParams, env="Toy-v0") == ["num_atoms must be at least 2, got 1"]


@pytest.mark.parametrize("old", RENAMED)
def test_an_id_of_the_original_becomes_todays_and_says_what_changed(old):
    new, change = RENAMED[old]
    resolved = resolve(TrainParams, dict(env=old))
    assert resolved.values == resolve(TrainParams, dict(env=new)).values
    assert resolved.notes == [f"{old} is {new} today: {change}."]


def test_the_entries_are_of_the_originals_environments_and_of_one_more():
    assert {new for new, _ in RENAMED.values()} | {"HalfCheetah-v5"} == set(ENVS)


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ("Pendulum-v1", "Pendulum-v1"),
        ("ALE/Pong-v5", "ALE_Pong-v5"),
        ("package:Toy-v0", "package_Toy-v0"),
        ("a/b:c/d", "a_b_c_d"),
    ],
)
def test_an_id_becomes_one_folder(env, folder):
    assert folder_name(env) == folder
    assert run_folder("root", params.TestParams(env=env)) == Path("root") / folder
    assert run_folder("root", params.TestParams(env=env, run="second")) == Path("root") / folder / "second"


# ---- rules of one value


def test_every_number_is_bounded():
    assert [(cls, name) for cls, name in LIMITED if not all(map(math.isfinite, bounds_of(cls, name)[:2]))] == []


LIMITED = [(cls, name) for cls, name in FIELDS if kind_of(cls, name) in (int, float)]
# Values for the fields that a rule ties to the one under test, so that only the limit decides.
AROUND = dict(v_min=-math.ldexp(1, 60), v_max=math.ldexp(1, 60), replay_mem_size=10**10, learning_starts=1)


BY_THEMSELVES = [(cls, name) for cls, name in LIMITED if name not in ("v_min", "v_max")]  # these limit each other


@pytest.mark.parametrize(("cls", "name"), BY_THEMSELVES)
def test_a_number_may_reach_its_limits_but_not_pass_them(cls, name):
    least, greatest, inclusive = bounds_of(cls, name)
    around = {other: value for other, value in AROUND.items() if cls is TrainParams}
    whole = kind_of(cls, name) is int

    def complaints(value):
        return problems(cls, **around | {name: value})

    if math.isfinite(least):
        assert complaints(least) == ([] if inclusive else [f"{name} must be greater than {least}, got {least}"])
        below = least - 1 if whole else math.nextafter(least, -math.inf)
        words = "at least" if inclusive else "greater than"
        assert complaints(below) == [f"{name} must be {words} {least}, got {below}"]
    if math.isfinite(greatest):
        above = greatest + 1 if whole else math.nextafter(greatest, math.inf)
        assert complaints(greatest) == []
        assert complaints(above) == [f"{name} must be at most {greatest}, got {above}"]


@pytest.mark.parametrize("name", [name for cls, name in FIELDS if cls is TrainParams and kind_of(cls, name) is float])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers_are_numbers(name, value):
    assert problems(TrainParams, **{name: value}) == [f"{name} must be a finite number, got {value}"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_agents", 2.0, "a whole number"),
        ("num_agents", True, "a whole number"),
        ("num_agents", "4", "a whole number"),
        ("tau", "0.5", "a number"),
        ("tau", False, "a number"),
        ("tau", 1j, "a number"),
        ("render", 1, "true or false"),
        ("render", "yes", "true or false"),
        ("run", 5, "text"),
        ("env", ["Pendulum-v1"], "text"),
        ("ckpt_dir", Path("ckpts"), "text"),
        ("obs_scale", 5, "finite numbers"),
        ("obs_scale", "123", "finite numbers"),
        ("obs_scale", [1, math.nan, 1], "finite numbers"),
        ("obs_mean", (1, True), "finite numbers"),
        ("obs_mean", [[1.0]], "finite numbers"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_and_shown(name, value, words):
    assert f"{name} must be {words}, got {value!r}" in problems(TrainParams, **{name: value})


def test_an_array_in_place_of_an_id_is_a_bad_value_like_any_other():
    # Whether it is true or false NumPy refuses to say, by the kind of error that stands for bad values here.
    assert problems(TrainParams, env=np.ones(3)) == [f"env must be text, got {np.ones(3)!r}"]


def test_integer_is_valid_for_a_float_parameter():
    assert resolve(TrainParams, dict(tau=1, obs_scale=[1, 2, 3])).values.tau == 1


@pytest.mark.parametrize("name", ["noise_scale", "reward_scale", "v_max", "max_minutes"])
def test_integer_beyond_float_range_is_a_bad_value(name):
    assert accused(TrainParams, {name: 10**400}) == {name}


@pytest.mark.parametrize("name", ["obs_mean", "obs_scale"])
def test_integer_in_a_list_beyond_float_range_is_a_bad_value(name):
    assert accused(TrainParams, {name: [1, 10**400, 1]}) == {name}


@pytest.mark.parametrize("name", ["obs_mean", "obs_scale"])
def test_no_numbers_at_all_are_no_scaling(name):
    assert problems(TrainParams, **{name: ()}) == [f"{name} must not be empty"]


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_divisor_of_observations_is_positive(scale):
    assert accused(TrainParams, {"obs_scale": (1.0, scale, 1.0)}) == {"obs_scale"}
    assert problems(TrainParams, obs_mean=(1.0, scale, 1.0)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward_scale", 1e-50),  # a divisor that float32 makes 0: rewards become infinite
        ("obs_scale", (1.0, 1e-50, 1.0)),
        ("obs_mean", (0.0, 1e50, 0.0)),  # infinite in float32
        ("v_max", 1e50),
        ("v_min", -1e50),
        ("v_min", -1e-50),  # with v_max = 0 a support of no width in float32: divided by
    ],
)
def test_a_number_that_float32_cannot_hold_is_refused_before_it_becomes_nan(name, value):
    # The networks and the support compute in float32.
    assert name in " ".join(problems(TrainParams, **{name: value}))


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("run", ["a/b", "..", ".hidden", "a\\b", "shipped", "a:b", "/etc"])
def test_the_name_of_a_run_is_a_plain_folder_name(cls, run):
    if cls is CurvesParams:
        assert problems(cls, runs=("good", run)) == [f"runs must be a plain folder name, got {run!r}"]
    else:
        assert problems(cls, run=run) == [f"run must be a plain folder name, got {run!r}"]


@pytest.mark.parametrize("run", ["", "second", "lr 5e-4", "a.b", "shipped2", "é"])
def test_any_plain_folder_name_will_do_for_a_run(run):
    assert resolve(TrainParams, dict(run=run)).values.run == run


@pytest.mark.parametrize("name", ["env", "run", "ckpt_dir", "ckpt_file"])
def test_no_path_holds_a_null_character(name):
    assert f"{name} must not contain a null character" in problems(params.TestParams, **{name: "a\0b"})


@pytest.mark.parametrize("name", ["ckpt_dir", "results_dir", "ckpt_file"])
def test_a_path_is_not_empty(name):
    # As of a shell's variable that is not set; it would mean the folder that the script happens to be started in.
    assert problems(params.TestParams, **{name: ""}) == [f"{name} must not be empty"]


def test_an_empty_id_names_no_environment():
    assert "env must be the id of an environment, got ''" in problems(params.TestParams, env="")


def test_compare_and_grow_make_one_film():
    assert "exclude each other" in str(problems(PlayParams, compare=(1, 2), grow=True))
    for rest in (dict(record=False), dict(render=True)):
        assert "make a film" in str(problems(PlayParams, grow=True, **rest))
    assert problems(PlayParams, compare=(1,)) == ["compare must be 2 whole numbers, got (1,)"]
    assert problems(PlayParams, compare=(1, -1)) == ["compare must be at least 0, got -1"]


@pytest.mark.parametrize("name", ["steps", ""])
def test_scores_are_drawn_against_one_of_three(name):
    assert problems(CurvesParams, x=name) == [f"x must be learner_step, env_step or minutes, got {name!r}"]


@pytest.mark.parametrize("name", ["avi", "GIF", ""])
def test_films_are_gif_or_mp4(name):
    assert problems(PlayParams, format=name) == [f"format must be gif or mp4, got {name!r}"]


# ---- rules across values


@pytest.mark.parametrize("runner", ["processes", "ray"])
def test_agents_outside_of_the_learners_process_are_not_synchronous(runner):
    said = f"synchronous and runner {runner} exclude each other: agents elsewhere do not take turns"
    assert problems(TrainParams, synchronous=True, runner=runner) == [said]
    assert problems(TrainParams, synchronous=True, runner="threads") == []


def test_an_address_of_ray_goes_with_ray_only():
    assert problems(TrainParams, ray_address="auto") == ["ray_address is for runner ray, not for threads"]
    assert problems(TrainParams, ray_address="auto", runner="ray") == []


@pytest.mark.parametrize(("v_min", "v_max"), [(1.0, 1.0), (2.0, 1.0)])
def test_the_support_has_a_width(v_min, v_max):
    assert problems(TrainParams, v_min=v_min, v_max=v_max) == [f"v_min must be less than v_max, got {v_min} and {v_max}"]


@pytest.mark.parametrize(
    ("v_min", "v_max", "num_atoms"),
    [
        (1000.0, 1000.0105, 51),  # the projection made 14 % of mass from nothing
        (-1000.0105, -1000.0, 51),
        (1000.0, 1005.0, 51),
        (0.0, 1e-37, 51),  # spacing below the smallest normal float32, which XLA takes for 0
        (0.0, 1e-42, 2),
    ],
)
def test_atoms_that_float32_cannot_separate_are_refused(v_min, v_max, num_atoms):
    (problem,) = problems(TrainParams, v_min=v_min, v_max=v_max, num_atoms=num_atoms)
    assert problem.startswith(f"v_min and v_max are too close for {num_atoms} atoms in float32, got {v_min} and {v_max}")


@pytest.mark.parametrize(("v_min", "v_max", "num_atoms"), [(-20.0, 0.0, 51), (1000.0, 1020.0, 51), (0.0, 1e6, 4096)])
def test_atoms_that_float32_separates_are_accepted(v_min, v_max, num_atoms):
    assert problems(TrainParams, v_min=v_min, v_max=v_max, num_atoms=num_atoms) == []


@settings(max_examples=300, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1.0, 4.0), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_the_projection_onto_accepted_atoms_keeps_all_but_a_thousandth_of_the_mass(v_min, tightness, num_atoms, seed):
    # Supports at the least distance that is accepted, and up to four times wider.
    v_max = v_min + tightness * ATOM_DISTANCE * abs(v_min) * (num_atoms - 1)
    if problems(TrainParams, v_min=v_min, v_max=v_max, num_atoms=num_atoms):
        return
    atoms = np.linspace(v_min, v_max, num_atoms, dtype=np.float32)
    rng = np.random.default_rng(seed)
    moved = np.concatenate([atoms, rng.uniform(v_min, v_max, 1000).astype(np.float32), np.nextafter(atoms, np.float32(0))])
    # The formula of losses.project, for one atom of mass 1 at each of these places.
    spacing = (atoms[-1] - atoms[0]) / np.float32(num_atoms - 1)
    gaps = np.abs(np.clip(moved, atoms[0], atoms[-1])[:, None] - atoms) / spacing
    assert gaps.dtype == np.float32
    mass = np.maximum(np.float32(1) - gaps, 0).sum(axis=1)
    assert np.abs(mass - 1).max() < 1e-3


@pytest.mark.parametrize("half", [{"v_min": -1.0}, {"v_max": 1.0}])
def test_v_min_and_v_max_go_together(half):
    (problem,) = problems(TrainParams, env="Hopper-v5", **half)
    assert problem.startswith("v_min and v_max go together: give both, or neither for an automatic support")


def test_the_support_is_automatic_where_neither_flags_nor_envs_give_it_or_by_a_flag():
    given = {"env": "Hopper-v5", "v_min": 0.0, "v_max": 100.0}
    assert resolve(TrainParams, {"env": "Hopper-v5"}).values.has_automatic_support
    assert resolve(TrainParams, {"env": "Pendulum-v1", "automatic_support": True}).values.has_automatic_support
    assert not resolve(TrainParams, {"env": "Pendulum-v1"}).values.has_automatic_support
    assert not resolve(TrainParams, given).values.has_automatic_support
    assert resolve(TrainParams, given).values.support == (0.0, 100.0)


def test_an_id_without_a_version_is_answered_with_the_entry():
    assert problems(TrainParams, env="Pendulum") == ["Pendulum lacks its version, did you mean Pendulum-v1?"]


def test_misspelt_env_id_is_not_reported_as_missing_bounds():
    with pytest.raises(ParameterError, match="^Foo is no environment; num_agents must be at least 1, got 0$"):
        resolve(TrainParams, {"env": "Foo", "num_agents": 0}, env_problem=lambda params: f"{params.env} is no environment")
    assert resolve(TrainParams, {}, env_problem=lambda params: "not asked where there is no problem").values.env == params.ENV


@pytest.mark.parametrize("name", ["max_minutes", "test_timeout"])
def test_time_parameters_fit_into_a_threading_timeout(name):
    seconds = bounds_of(TrainParams if name == "max_minutes" else WatchParams, name)[1] * (60 if name == "max_minutes" else 1)
    assert seconds < threading.TIMEOUT_MAX / 10


@pytest.mark.parametrize("cls", [params.TestParams, WatchParams, PlayParams])
def test_only_training_needs_an_entry(cls):
    assert resolve(cls, dict(env="Hopper-v5")).values.env == "Hopper-v5"


def test_the_replay_must_hold_what_learning_starts_with():
    (problem,) = problems(TrainParams, learning_starts=101, replay_mem_size=100)
    assert problem.startswith("learning_starts must be at most replay_mem_size, got 101 and 100")
    assert problems(TrainParams, learning_starts=100, replay_mem_size=100) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("noise", "gaussian or ou"),
        ("noise_scale_per", "same, agent or episode"),
        ("noise_decay_per", "episode, step or none"),
        ("priority", "cross_entropy or kl"),
        ("learning_rate_schedule", "constant, linear or cosine"),
    ],
)
def test_a_choice_lists_its_values(name, words):
    assert problems(TrainParams, **{name: "x"}) == [f"{name} must be {words}, got 'x'"]


def test_resume_and_fresh_exclude_each_other():
    (problem,) = problems(TrainParams, resume=True, fresh=True)
    assert problem.startswith("resume and fresh exclude each other")


# ---- all at once


def test_all_bad_values_come_in_one_message():
    values = dict(num_agents=0, tau=2.0, num_atoms=1, discount_rate=math.nan, render="yes", obs_mean="x", env="")
    assert accused(TrainParams, values) >= set(values)


def test_bad_values_come_together_with_unknown_names_and_broken_entries(monkeypatch):
    monkeypatch.setitem(ENVS, "Toy-v0", dict(nun_atoms=11))
    message = " ".join(problems(TrainParams, env="Toy-v0", num_agnts=3, tau=5.0))
    assert all(word in message for word in ("nun_atoms", "num_agnts", "tau"))


def test_a_bad_value_does_not_hide_what_is_wrong_with_another():
    values = dict(run="a/b", obs_scale=(-1.0, 1.0, 1.0), obs_mean=(), num_agents=0)
    assert accused(TrainParams, values) == set(values)
    assert accused(PlayParams, dict(format="avi", run="..", num_eps_play=0)) == {"format", "run", "num_eps_play"}


def test_a_bad_value_does_not_hide_rules_that_it_has_no_part_in():
    message = " ".join(problems(TrainParams, num_agents=0, v_min=2.0, v_max=1.0, resume=True, fresh=True))
    assert all(word in message for word in ("num_agents", "v_min", "resume"))


def test_in_ten_thousand_sets_every_bad_field_is_named_and_no_other():
    assert list(fuzzed_params.faults(10_000)) == []


def test_two_hundred_odd_command_lines_end_with_values_or_code_2():
    assert list(fuzzed_params.faults_of_flags(200)) == []


def good_values(cls, name):
    """Values that a field of this name can have, whatever the others are."""
    kind = kind_of(cls, name)
    least, greatest, inclusive = bounds_of(cls, name)
    if name in ("v_min", "v_max"):
        return st.floats(-1e6, -1e3) if name == "v_min" else st.floats(1e3, 1e6)
    if name == "learning_starts":
        return st.integers(1, 1000)
    if name == "samples_per_insert":
        return st.just(0.0) | st.floats(1e-3, greatest)
    if name == "replay_mem_size":
        return st.integers(1000, greatest)
    if kind is int:
        return st.integers(least, greatest)
    if kind is float:
        return st.floats(least if inclusive else least + 1e-6, min(greatest, 1e30))
    if kind is bool:
        return st.just(False) if name == "fresh" else st.booleans()
    if kind is str:
        return {
            "format": st.sampled_from(["gif", "mp4"]),
            "x": st.sampled_from(plot_params.AXES),
            "run": st.from_regex(r"[a-z]{0,5}", fullmatch=True),
            "algorithm": st.sampled_from(list(ALGORITHMS)),
            "runner": st.sampled_from(["threads", "processes", "ray"]),
            "noise": st.sampled_from(["gaussian", "ou"]),
            "noise_scale_per": st.sampled_from(["same", "agent", "episode"]),
            "noise_decay_per": st.sampled_from(["episode", "step", "none"]),
            "priority": st.sampled_from(["cross_entropy", "kl"]),
            "value_head": st.sampled_from(["categorical", "scalar"]),
            "scalar_loss": st.sampled_from(["squared", "huber"]),
            "actor_value": st.sampled_from(["first", "lower", "mean"]),
            "learning_rate_schedule": st.sampled_from(["constant", "linear", "cosine"]),
        }.get(name, st.sampled_from(["x", "Toy-v9", "a b"]))
    if name in ("runs", "variants"):
        return st.lists(st.from_regex(r"[a-z]{0,5}", fullmatch=True), min_size=1, max_size=3).map(tuple)
    if name == "envs":
        return st.lists(st.sampled_from(["x", "Toy-v9", "a/b"]), min_size=1, max_size=3).map(tuple)
    if name == "seeds":
        return st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True).map(tuple)
    if name == "compare":
        return st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
    if name in ("hidden_sizes", "critic_hidden_sizes"):
        return st.lists(st.integers(1, 1000), min_size=1, max_size=4).map(tuple)
    if name == "reward_clip":
        return st.tuples(st.floats(-1e3, -1e-3), st.floats(0, 1e3))
    return st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4).map(tuple)


def good_parameters(cls):
    fields = {field.name: good_values(cls, field.name) for field in dataclasses.fields(cls)}
    # These are tied to each other, and an entry of ENVS would bring its own.
    needed = {name: fields.pop(name) for name in ("v_min", "v_max", "learning_starts", "synchronous") if name in fields}
    fields.pop("layer_norm", None)  # goes without use_batch_norm
    fields.pop("runner", None)  # goes without synchronous
    fields.pop("ray_address", None)  # goes with runner ray
    fields.pop("versus", None)  # goes without starts
    if "policy_delay" in fields:
        fields["policy_delay"] = st.just(1)  # divides every target_update_period
    if "samples_per_insert" in fields:
        fields["samples_per_insert"] = st.floats(0.001, 1e6)  # 0 does not go with synchronous
    if "compare" in fields:  # a film, which goes with neither of these
        for name in ("grow", "record", "render"):
            del fields[name]
    return st.fixed_dictionaries(needed, optional=fields).map(lambda values: (cls, values))


def test_conflicting_parameters_are_refused():
    assert "exclude each other: versus compares" in str(problems(params.TestParams, starts="a.csv", versus="b.csv"))
    said = "target_update_period must be a multiple of policy_delay, got 75 and 2"
    assert problems(TrainParams, target_update_period=75, policy_delay=2) == [said]
    assert resolve(TrainParams, {"target_update_period": 76, "policy_delay": 2}).values.target_update_period == 76


@settings(max_examples=150, deadline=None)
@given(st.one_of([good_parameters(cls) for cls in CLASSES]))
def test_good_values_are_taken_as_they_are(drawn):
    cls, values = drawn
    resolved = resolve(cls, values)
    assert {name: getattr(resolved.values, name) for name in values} == values
    assert {resolved.sources[name] for name in values} <= {"flag"}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3), st.complex_numbers()
)
SPECIAL = st.sampled_from([10**400, np.int64(3), np.float32(0.5), np.ones(3), object(), int, math.nan])
LISTS = st.lists(SCALARS | SPECIAL, max_size=3)
GARBAGE = SCALARS | SPECIAL | LISTS | LISTS.map(tuple) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
NAMES = st.sampled_from(sorted({name for _, name in FIELDS})) | st.text(max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CLASSES), st.dictionaries(NAMES | st.just("cls"), GARBAGE, max_size=6))
def test_garbage_is_refused_or_it_was_none(cls, values):
    fields = {field.name for field in dataclasses.fields(cls)}
    try:
        resolved = vars(resolve(cls, values).values)
    except ParameterError as error:
        message = str(error)
    else:
        message = ""
        for name, value in resolved.items():
            kind = kind_of(cls, name)
            allowed = {int: int, float: (int, float), bool: bool, str: str}.get(kind, (tuple, list))
            assert value is None or isinstance(value, allowed)
    for name in set(values) - fields:
        assert f"there is no parameter {name}" in message


def test_problems_are_sentences_about_flags_that_exist():
    message = str(problems(TrainParams, env="Hopper-v5"))
    for flag in re.findall(r"--([a-z-]+)", message):
        assert flag.replace("-", "_") in {field.name for field in dataclasses.fields(TrainParams)}
