"""Flags: a frozen dataclass of parameters becomes the command line of a script, by tyro."""

import itertools
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from utils.errors import ParameterError


def parse(cls: type, resolve: Callable[..., Any], argv: list[str] | None = None) -> Any:
    """What `resolve(cls, **given)` answers for the flags in `argv` (default: the process's own).

    tyro reads the flags twice: once to learn the environment, and once with that environment's values as the
    defaults, so that --help shows what would really be used. Raises ParameterError with every bad value in one
    message; tyro itself ends the process with code 2 for a flag that it does not know.
    """
    argv = _spelt_out(cls, sys.argv[1:] if argv is None else argv)
    return _resolved(tyro.cli(cls, args=argv, default=_defaults(cls, resolve, argv)), resolve, argv)


def parse_command(commands: dict[str, type], resolve: Callable[..., Any], argv: list[str] | None = None) -> Any:
    """The same for a command line whose first word is one of `commands`; the class of the answer's values tells which."""
    argv = sys.argv[1:] if argv is None else argv
    for cls in commands.values():
        argv = _spelt_out(cls, argv)
    kinds = tuple(
        Annotated[cls, tyro.conf.subcommand(name, default=_defaults(cls, resolve, argv))] for name, cls in commands.items()
    )
    return _resolved(tyro.cli(Union[kinds], args=argv), resolve, argv)  # type: ignore[call-overload]  # noqa: UP007


def _defaults(cls: type, resolve: Callable[..., Any], argv: list[str]) -> Any:
    try:
        return resolve(cls, env=dict(_pairs(argv)).get("env")).values
    except ValueError:
        return cls()  # the complaint comes later, together with all others


def _resolved(flags: Any, resolve: Callable[..., Any], argv: list[str]) -> Any:
    named = {_field(word) for word in argv if word.startswith("--")}
    try:
        return resolve(type(flags), **{name: value for name, value in vars(flags).items() if name in named})
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
