"""Flags: a frozen dataclass of parameters becomes the command line of a script, by tyro."""

import collections
import itertools
import os
import shutil
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from utils.errors import ParameterError

NARROWEST = 40  # columns; tyro lays out its help for ever where there is room for a letter or two


def parse(
    cls: type,
    resolve: Callable[..., Any],
    argv: list[str] | None = None,
    env_problem: Callable[[str], str | None] = lambda env: None,
) -> Any:
    """What `resolve(cls, given, env_problem=env_problem)` answers for the flags in `argv` (default: the process's own).

    tyro reads the flags twice: once to learn the environment, and once with that environment's values as the
    defaults, so that --help shows what would really be used. Raises ParameterError with every bad value in one
    message; tyro itself ends the process with code 2 for a flag that it does not know.
    """
    _widen()
    argv = _spelt_out(cls, sys.argv[1:] if argv is None else argv)
    return _resolved(_read(cls, argv, default=_defaults(cls, resolve, argv)), resolve, argv, env_problem)


def parse_command(
    commands: dict[str, type],
    resolve: Callable[..., Any],
    argv: list[str] | None = None,
    env_problem: Callable[[str], str | None] = lambda env: None,
) -> Any:
    """The same for a command line whose first word is one of `commands`; the class of the answer's values tells which."""
    _widen()
    argv = sys.argv[1:] if argv is None else argv
    for cls in commands.values():
        argv = _spelt_out(cls, argv)
    kinds = tuple(
        Annotated[cls, tyro.conf.subcommand(name, default=_defaults(cls, resolve, argv))] for name, cls in commands.items()
    )
    return _resolved(_read(Union[kinds], argv), resolve, argv, env_problem)  # noqa: UP007


def _widen() -> None:
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)


def _defaults(cls: type, resolve: Callable[..., Any], argv: list[str]) -> Any:
    try:
        return resolve(cls, {"env": dict(_pairs(argv)).get("env")}).values
    except ValueError:
        return cls()  # the complaint comes later, together with all others


def _read(kinds: Any, argv: list[str], **options: Any) -> Any:
    try:
        return tyro.cli(kinds, args=argv, **options)
    except OSError:  # whoever asked for help, or gave a flag that tyro complains of, listens no more
        sys.exit(0 if {"-h", "--help"} & set(argv) else 2)


def _resolved(flags: Any, resolve: Callable[..., Any], argv: list[str], env_problem: Callable[[str], str | None]) -> Any:
    named = {_field(word) for word in argv if word.startswith("--")}
    try:
        given = {name: value for name, value in vars(flags).items() if name in named}
        return resolve(type(flags), given, env_problem=env_problem)
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
    """Each switch as tyro wants it, whether it is given as --name, --no-name, --name True or --name=False.

    tyro wants a value for a switch that may also be not given (bool | None), and none for the others.
    """
    hints = typing.get_type_hints(cls)
    words: list[str] = []
    rest = collections.deque(argv)
    while rest:
        word = rest.popleft()
        name, equals, value = word.partition("=")
        field = _field(name) if name.startswith("--") else ""
        if hints.get(field) not in (bool, bool | None):
            words.append(word)
            continue
        if not equals and rest and rest[0].capitalize() in _SPOKEN:
            value = rest.popleft()
        negated = name[2:].replace("-", "_") != field
        on = _SPOKEN.get(value.capitalize(), None if equals else not negated)
        flag = field.replace("_", "-")
        if on is None or negated and value:  # for tyro to complain of
            words += [name, value]
        elif hints[field] is bool:
            words.append(f"--{flag}" if on else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(on)]
    return words


_SPOKEN = {"True": True, "False": False}
