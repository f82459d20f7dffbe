"""Flags: a frozen dataclass of parameters becomes the command line of a script, by tyro."""

import collections
import dataclasses
import functools
import inspect
import itertools
import os
import re
import shutil
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

import tyro

from utils.errors import ParameterError
from utils.parameters import EnvProblem, Resolved, nearest

_DECIDING = ("env", "algorithm")  # flags that other defaults depend on
NARROWEST = 40  # columns; with fewer, tyro hangs while it formats the help
NO_ALIASES: Mapping[str, tuple[str, ...]] = {}

Resolve = Callable[..., Resolved]  # called as resolve(cls, given, env_problem=env_problem)


def parse(
    cls: type,
    resolve: Resolve,
    argv: list[str] | None = None,
    env_problem: EnvProblem = lambda params: None,
    aliases: Mapping[str, tuple[str, ...]] = NO_ALIASES,
) -> Resolved:
    """The parameters that `resolve` returns for the flags in `argv` (default: the arguments of the process).

    The defaults in --help are the values for the selected environment. Raises ParameterError with every unknown flag and
    every invalid value in one message. For an argument that it cannot parse, tyro ends the process with code 2.
    """
    _widen()
    argv, unknown = _without_unknown([cls], sys.argv[1:] if argv is None else argv, aliases)
    argv = _spelt_out(cls, argv)
    given = _given(_read(_grouped(cls), argv, unknown, default=_grouped_values(_defaults(cls, resolve, argv))), argv)
    return _resolved(cls, given, resolve, unknown, env_problem)


def parse_command(
    commands: dict[str, type],
    resolve: Resolve,
    argv: list[str] | None = None,
    env_problem: EnvProblem = lambda params: None,
    aliases: Mapping[str, tuple[str, ...]] = NO_ALIASES,
) -> Resolved:
    """The same for a command line that starts with one of `commands`; the class of the values tells which one."""
    _widen()
    argv = sys.argv[1:] if argv is None else argv
    named = [commands[argv[0]]] if argv and argv[0] in commands else list(commands.values())
    argv, unknown = _without_unknown(named, argv, aliases)
    for cls in commands.values():
        argv = _spelt_out(cls, argv)
    classes = {_grouped(cls): cls for cls in commands.values()}
    kinds = tuple(
        Annotated[kind, tyro.conf.subcommand(name, default=_grouped_values(_defaults(classes[kind], resolve, argv)))]
        for name, kind in zip(commands, classes, strict=True)
    )
    flags = _read(Union[kinds], argv, unknown)  # noqa: UP007
    return _resolved(classes[type(flags)], _given(flags, argv), resolve, unknown, env_problem)


def _widen() -> None:
    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)


def _defaults(cls: type, resolve: Resolve, argv: list[str]) -> Any:
    try:
        given = {name: value for name, value in _pairs(argv) if name in _DECIDING}
        names = {field.name for field in dataclasses.fields(cls)}
        return resolve(cls, {name: value for name, value in given.items() if name in names}).values
    except ParameterError:
        return cls()  # the problem is reported later, together with all others


def _read(kinds: Any, argv: list[str], unknown: list[str], **options: Any) -> Any:
    try:
        try:
            return tyro.cli(kinds, args=argv, config=(tyro.conf.OmitArgPrefixes,), **options)
        except SystemExit as end:
            if end.code and unknown:  # tyro has printed its own error
                print(f"Error: {'; '.join(unknown)}", file=sys.stderr)
            raise
    except OSError:  # the reader of the output has closed the pipe
        sys.exit(0 if {"-h", "--help"} & set(argv) else 2)


def _resolved(cls: type, given: dict[str, Any], resolve: Resolve, unknown: list[str], env_problem: EnvProblem) -> Resolved:
    try:
        resolved = resolve(cls, given, env_problem=env_problem)
    except ParameterError as error:
        unknown = [*unknown, str(error)]
    if unknown:
        raise ParameterError("; ".join(unknown))
    return resolved


def _without_unknown(
    classes: list[type], argv: list[str], aliases: Mapping[str, tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """The command line without unknown flags and their values, and a sentence for each unknown flag."""
    known = {field.name for cls in classes for field in dataclasses.fields(cls)}
    kept: list[str] = []
    unknown: list[str] = []
    flag = ""  # the unknown flag of the current words
    for word in argv:
        if word.startswith("--"):
            flag = "" if _field(word) in {*known, "help", ""} else word.split("=")[0]
            if flag:
                near = " or ".join(f"--{name.replace('_', '-')}" for name in nearest(_field(word), sorted(known), aliases))
                unknown.append(f"there is no flag {flag}" + (f", did you mean {near}?" if near else ""))
        if not flag:
            kept.append(word)
    return kept, unknown


# ---- groups of the help

_annotated: Any = Annotated  # for types that are known at run time only


@functools.cache
def _grouped(cls: type) -> Any:
    """The class with a nested class for each group of fields; tyro shows each group under a heading."""
    hints = typing.get_type_hints(cls)
    members: dict[str, list[tuple[str, Any, Any]]] = {"": []}
    for field in dataclasses.fields(cls):
        group, comment = _comments(cls)[field.name]
        hint = _annotated[hints[field.name], tyro.conf.arg(help=comment)]
        members.setdefault(group, []).append((field.name, hint, field.default))
    fields = members.pop("")
    for group, its_fields in members.items():
        kind = dataclasses.make_dataclass(group, its_fields, frozen=True)
        fields.append((group.lower(), kind, dataclasses.field(default=kind())))
    grouped = dataclasses.make_dataclass(cls.__name__, fields, frozen=True)
    grouped.__doc__ = cls.__doc__
    return grouped


def _grouped_values(values: Any) -> Any:
    """The same values in the class with groups."""
    cls: Any = type(values)
    grouped = _grouped(cls)
    changes = {}
    for field in dataclasses.fields(grouped):
        group: Any = field.default if dataclasses.is_dataclass(field.default) else None
        own = group and type(group)(**{name: getattr(values, name) for name in vars(group)})
        changes[field.name] = own or getattr(values, field.name)
    return grouped(**changes)


def _given(flags: Any, argv: list[str]) -> dict[str, Any]:
    """The values of the flags in the command line."""
    named = {_field(word) for word in argv if word.startswith("--")}
    values: dict[str, Any] = {}
    for name, value in vars(flags).items():
        values |= vars(value) if dataclasses.is_dataclass(value) else {name: value}
    return {name: value for name, value in values.items() if name in named}


@functools.cache
def _comments(cls: type) -> dict[str, tuple[str, str]]:
    """The group of each field and its comment. In a class, a line with only a comment begins a group."""
    found = {}
    for base in reversed(cls.__mro__[:-1]):
        group = ""
        for line in inspect.getsource(base).splitlines():
            if heading := re.fullmatch(r"    # (\w+)", line):
                group = heading[1]
            elif field := re.match(r"    (\w+): .*?  # (.*)$", line):
                found[field[1]] = group, field[2]
    return found


def _field(word: str) -> str:
    return word[2:].split("=")[0].replace("-", "_").removeprefix("no_")


def _pairs(argv: list[str]) -> list[tuple[str, str]]:
    """Each flag with its value, in the order of the command line."""
    return [
        (_field(word), word.split("=", 1)[1] if "=" in word else after)
        for word, after in itertools.pairwise([*argv, ""])
        if word.startswith("--")
    ]


def _spelt_out(cls: type, argv: list[str]) -> list[str]:
    """The command line with each switch (--name, --no-name, --name True, --name=False) in the form that tyro needs.

    tyro needs a value for a switch of type bool | None, and none for bool.
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
        if on is None or negated and value:  # tyro reports the error
            words += [name, value]
        elif hints[field] is bool:
            words.append(f"--{flag}" if on else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(on)]
    return words


_SPOKEN = {"True": True, "False": False}
