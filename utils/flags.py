"""Flags: a frozen dataclass of parameters becomes the command line of a script, by tyro."""

import itertools
import sys
import typing
from collections.abc import Callable
from typing import Any

import tyro

from utils.errors import ParameterError


def parse(cls: type, resolve: Callable[..., Any], argv: list[str] | None = None) -> Any:
    """What `resolve(cls, **given)` answers for the flags in `argv` (default: the process's own).

    tyro reads the flags twice: once to learn the environment, and once with that environment's values as the
    defaults, so that --help shows what would really be used. Raises ParameterError with every bad value in one
    message; tyro itself ends the process with code 2 for a flag that it does not know.
    """
    argv = _spelt_out(cls, sys.argv[1:] if argv is None else argv)
    named = {_field(word) for word in argv if word.startswith("--")}
    env = dict(_pairs(argv)).get("env")
    try:
        defaults = resolve(cls, env=env).values
    except ValueError:
        defaults = cls()  # the complaint comes below, together with all others
    flags = tyro.cli(cls, args=argv, default=defaults)
    try:
        return resolve(cls, **{name: value for name, value in vars(flags).items() if name in named})
    except ValueError as error:
        raise ParameterError(str(error)) from None


def _field(word: str) -> str:
    return word[2:].split("=")[0].replace("-", "_").removeprefix("no_")


def _pairs(argv: list[str]) -> list[tuple[str, str]]:
    """Each flag with what stands behind it, in the order of the command line."""
    return [
        (_field(word), word.split("=", 1)[1] if "=" in word else after)
        for word, after in itertools.pairwise([*argv, ""])
        if word.startswith("--")
    ]


def _spelt_out(cls: type, argv: list[str]) -> list[str]:
    """--name and --no-name with their value, for the switches that may also be not given (bool | None)."""
    spelling: dict[str, list[str]] = {}
    for name, hint in typing.get_type_hints(cls).items():
        if hint == bool | None:
            flag = name.replace("_", "-")
            spelling |= {f"--{flag}": [f"--{flag}", "True"], f"--no-{flag}": [f"--{flag}", "False"]}
    return [part for word in argv for part in spelling.get(word.replace("_", "-"), [word])]
