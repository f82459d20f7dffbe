"""How an environment is made, as data that a checkpoint can record."""

import importlib
import json
import re
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import gymnasium
from gymnasium.wrappers import TimeLimit

from utils.envs.environment import RAISED, Environment, named, select_renderer, sentence
from utils.envs.training import Wrapper, metered, wrapped
from utils.errors import DependencyError, EnvironmentFailure, ParameterError, ToolkitError

LARGEST_BOUND = 1e30  # of an action
# Keyword arguments that gymnasium.make takes itself. `max_episode_steps` would replace the environment's own time limit.
RESERVED = {"id", "render_mode", "max_episode_steps", "disable_env_checker"}
EXTRAS = {"shimmy", "gymnasium_robotics"}  # modules that requirements-extras.txt installs


@dataclass(frozen=True)
class EnvSpec:
    """How an environment is made: strings and JSON only, hashable and comparable.

    An agent's step is one decision: it takes `action_repeat` environment steps and sums their rewards. The discount applies
    once for each decision. `max_ep_length` counts environment steps.
    Raises ParameterError for a value that cannot be used.
    """

    id: str  # of Gymnasium, or "module:id": the module is imported first and registers it
    kwargs: dict[str, Any] = field(default_factory=dict, hash=False)  # of the environment's constructor
    wrappers: tuple[str, ...] = ()  # "module:callable" each, the innermost first
    action_repeat: int = 1  # environment steps for each action
    max_ep_length: int = 10_000  # environment steps after which an episode is truncated; the environment's own limit stays
    action_bound: float | None = None  # takes the place of missing bounds of the actions

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id.isprintable():
            raise ParameterError(f"the id of an environment must be printable text, got {self.id!r}")
        try:
            kwargs = json.loads(json.dumps(self.kwargs, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            kwargs = None
        if not isinstance(kwargs, dict):
            raise ParameterError(f"env_kwargs must be a JSON object of keyword arguments, got {self.kwargs!r}")
        if reserved := sorted(RESERVED & kwargs.keys()):
            raise ParameterError(f"env_kwargs must not hold {' or '.join(reserved)}; a time limit is --max-ep-length.")
        object.__setattr__(self, "kwargs", kwargs)
        if not isinstance(self.wrappers, tuple) or not all(
            isinstance(name, str) and re.fullmatch(r"[\w.]+:[\w.]+", name) for name in self.wrappers
        ):
            raise ParameterError(f"a wrapper must be module:callable, got {self.wrappers!r}")
        for name, greatest in (("action_repeat", 1000), ("max_ep_length", 10**9)):
            if type(value := getattr(self, name)) is not int or not 1 <= value <= greatest:
                raise ParameterError(f"{name} must be a whole number from 1 to {greatest}, got {value!r}")
        if (bound := self.action_bound) is not None and not (type(bound) in (int, float) and 0 < bound <= LARGEST_BOUND):
            raise ParameterError(f"action_bound must be a positive number up to {LARGEST_BOUND:g}, got {bound!r}")

    @property
    def has_plain_kwargs(self) -> bool:
        """Whether the keyword arguments are numbers, switches and null alone: these name neither code nor files."""
        return _is_plain(self.kwargs)

    @classmethod
    def from_json(cls, record: Any) -> Self:
        """The inverse of `dataclasses.asdict`, after a round trip through JSON. Raises ParameterError."""
        if not isinstance(record, dict) or not all(name in cls.__dataclass_fields__ for name in record):
            raise ParameterError(f"it does not describe an environment: {record!r:.200}")
        if isinstance(wrappers := record.get("wrappers", ()), list):
            wrappers = tuple(wrappers)
        values: dict[str, Any] = {"id": None} | record | {"wrappers": wrappers}
        return cls(**values)

    def make(
        self,
        render_mode: str | None = None,
        train_wrappers: Sequence[str] = (),
        reward_clip: tuple[float, float] | None = None,
    ) -> Environment:
        """Make the environment, with a further time limit, within the checking wrapper.

        `train_wrappers` ("module:callable" each, the innermost first) and `reward_clip` (lowest and highest reward) change
        what is learned from; `info["raw_reward"]` is then the reward below them.

        Raises ParameterError for an unknown id or an unsupported space, and DependencyError for a missing package or
        display. With a render mode, raises RuntimeError in a process that has loaded TensorFlow: there MuJoCo's renderer
        causes a segmentation fault.
        """
        if render_mode is not None:
            _check_may_render(self.id)
            select_renderer(renders=True)
        wrappers, outer = ([(name, _imported(name)) for name in names] for names in (self.wrappers, train_wrappers))
        given = {} if render_mode is None else {"render_mode": render_mode}  # not every constructor takes it
        try:
            env = gymnasium.make(self.id, **self.kwargs, **given)  # type: ignore[arg-type]
            if render_mode is not None and not self.kwargs.keys() & {"camera_id", "camera_name"}:
                _follow_the_body(env)
            env, meter = metered(TimeLimit(wrapped(env, wrappers), self.max_ep_length), outer, reward_clip)
        except ToolkitError:
            raise
        except gymnasium.error.DependencyNotInstalled as error:
            raise DependencyError(f"{self.id} needs a package that is not installed: {sentence(error)}") from error
        except ModuleNotFoundError as error:
            module = self.id.rpartition(":")[0]
            if module in EXTRAS:
                raise DependencyError(f"{self.id} needs {module}: pip install -r requirements-extras.txt.") from error
            if module.endswith(".py"):
                raise ParameterError(f"{self.id} names a file; a module is named without .py.") from error
            is_misspelt = module.startswith(error.name) if error.name else bool(module)
            kind = ParameterError if is_misspelt else DependencyError
            raise kind(f"{self.id} needs a missing module: {sentence(error).rstrip('.')}.") from error
        except ImportError as error:
            raise DependencyError(f"{self.id} needs something that is not installed: {sentence(error)}.") from error
        except (gymnasium.error.Error, ValueError, TypeError) as error:
            raise ParameterError(f"{self.id!r} is not an environment that Gymnasium can make: {sentence(error)}") from error
        except RAISED as error:  # in its constructor
            raise EnvironmentFailure(f"{self.id} could not be made: {named(error)}") from error
        return Environment(env, self.id, self.action_repeat, self.action_bound, meter)


def _follow_the_body(env: gymnasium.Env) -> None:
    """Choose the model's camera "track" where MuJoCo's camera would stay behind: Gymnasium 1.4 takes a free one by default."""
    renderer: Any = getattr(env.unwrapped, "mujoco_renderer", None)
    if getattr(renderer, "camera_id", None) == -1 and "trackbodyid" not in (renderer.default_cam_config or {}):
        with suppress(KeyError):
            renderer.camera_id = renderer.model.camera("track").id


def register(make: Callable[..., gymnasium.Env], env_id: str | None = None) -> str:
    """Register a callable that makes an environment, for this process. Returns the id, by default made from its name.

    An earlier callable of this id is replaced. Raises ParameterError for the id of an installed environment and if `make`
    is not callable. The registered callable raises it when `make` returns the same environment twice.
    """
    if not callable(make):
        raise ParameterError(f"make_env must be a function or a class that makes an environment, got {make!r:.100}")
    name = getattr(make, "__name__", type(make).__name__)
    env_id = env_id or f"{re.sub(r'[^A-Za-z0-9_]', '', name)}-v0"
    known = gymnasium.registry.pop(env_id, None)
    if known is not None and isinstance(known.entry_point, str):
        gymnasium.registry[env_id] = known
        raise ParameterError(f"{env_id} is an installed environment; give your own another id.")
    try:
        gymnasium.register(env_id, entry_point=_making_new_ones(make))
    except gymnasium.error.Error as error:
        raise ParameterError(f"{env_id!r} cannot be the id of an environment: {sentence(error)}") from error
    return env_id


def _making_new_ones(make: Callable[..., gymnasium.Env]) -> Callable[..., gymnasium.Env]:
    """The same callable, which must return another environment in each call: agents step theirs at the same time."""
    last: list[weakref.ref[gymnasium.Env]] = []

    def checked(**kwargs: Any) -> gymnasium.Env:
        env = make(**kwargs)
        if last and last[0]() is env:
            raise ParameterError("make_env returned the same environment twice; each agent needs an environment of its own.")
        last[:] = [weakref.ref(env)]
        return env

    return checked


def parse_kwargs(text: str) -> dict[str, Any]:
    """Keyword arguments from a JSON object as text; "" means none. Raises ParameterError."""
    try:
        kwargs = json.loads(text or "{}")
    except (ValueError, RecursionError):
        kwargs = None
    if not isinstance(kwargs, dict):
        raise ParameterError(f"env_kwargs must be a JSON object of keyword arguments, got {text!r}")
    return kwargs


def _check_may_render(env_id: str) -> None:
    if "tensorflow" in sys.modules:
        raise RuntimeError(f"{env_id} cannot be rendered in a process that has loaded TensorFlow; run play.py instead.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, int | float)  # a bool is an int


def _imported(name: str) -> Wrapper:
    """The callable that "module:callable" names. Raises ParameterError."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except RAISED as error:
        raise ParameterError(f"the wrapper {name} cannot be imported: {named(error)}") from error
    if not callable(found):
        raise ParameterError(f"the wrapper {name} is not callable.")
    return found
