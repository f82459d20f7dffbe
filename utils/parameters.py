"""Checks and resolves parameters: frozen dataclasses with the bounds of each field in its type (annotated-types).

A field's type is bool, int, float, str or a tuple of these, with `| None` where None is a value. Its metadata are bounds
(Ge, Gt, Le, Lt), MinLen, a Predicate described by `doc`, and strings: the kinds of the field.
"""

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import DocInfo, Ge, Gt, Le, Lt, MinLen, Predicate

from utils.errors import ParameterError

EnvProblem = Callable[[Any], str | None]  # why the environment of parameters cannot be used
Rules = Callable[[Any], Iterator[tuple[set[str], str]]]  # of parameters: the fields of each broken rule, and a sentence


@dataclass(frozen=True)
class Resolved:
    """Parameters, the layer that each came from (flag, run, ENVS, ALGORITHMS, default), and sentences to print."""

    values: Any
    sources: dict[str, str]
    notes: list[str]

    def overrides(self) -> dict[str, str]:
        """Each parameter that is not the class default, as "value (source)"."""
        defaults = type(self.values)()
        return {
            name: f"{value} ({self.sources[name]})"
            for name, value in vars(self.values).items()
            if value != getattr(defaults, name)
        }


def resolve(
    cls: type,
    layers: Mapping[str, Mapping[str, Any]],
    rules: Rules,
    problems: list[str],
    env_problem: EnvProblem,
) -> tuple[Any, dict[str, str]]:
    """Take each field from the first layer that has it, else its default. Returns the parameters and the layer of each.

    Raises ParameterError with all problems: `problems`, those of single values, and the broken rules across valid values.
    If there is any, `env_problem` is called too, with the default in place of each bad value: then a misspelt id is not
    reported as missing bounds.
    """
    values, sources = {}, {}
    for field in dataclasses.fields(cls):
        sources[field.name] = next((name for name, layer in layers.items() if field.name in layer), "default")
        values[field.name] = layers.get(sources[field.name], {}).get(field.name, field.default)
    bad = value_problems(cls, values)
    config = cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    broken = _broken(rules, config, set(bad))
    if (problems or bad or broken) and "env" not in bad and (problem := env_problem(_without(config, set(bad)))):
        bad["env"] = [problem]
        broken = _broken(rules, config, set(bad))
    found = [*problems, *(sentence for name in values for sentence in bad.get(name, [])), *broken]
    if found:
        raise ParameterError("; ".join(found))
    return config, sources


def value_problems(cls: type, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The problems of single values, by field. Names that are not fields are ignored."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {name: list(_value_problems(name, value, hints[name])) for name, value in values.items() if name in hints}
    return {name: sentences for name, sentences in found.items() if sentences}


def fields_of_kind(cls: type, *kinds: str) -> tuple[str, ...]:
    """The fields with one of these kinds."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(field.name for field in dataclasses.fields(cls) if any(kind in unwrap(hints[field.name])[1] for kind in kinds))


def unwrap(hint: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """The plain type of a field, the metadata around it, and whether None is a value."""
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    if optional:
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is not Annotated:
        return hint, (), optional
    kind, *metadata = typing.get_args(hint)
    return kind, tuple(metadata), optional


def nearest(name: str, known: typing.Iterable[str], aliases: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Suggestions for an unknown name: its aliases, else names that contain it, else the most similar name."""
    known = list(known)
    return (
        [other for other in aliases.get(name, ()) if other in known]
        or [other for other in known if f"_{name}_" in f"_{other}_"][:2]
        or difflib.get_close_matches(name, known, n=1)
    )


def _broken(rules: Rules, config: Any, bad: set[str]) -> list[str]:
    # A rule compares values, so it counts only if all of them are valid.
    return [sentence for names, sentence in rules(_without(config, bad)) if not names & bad]


def _without(config: Any, bad: set[str]) -> Any:
    """The parameters with the defaults in place of the bad values."""
    return dataclasses.replace(config, **{name: type(config).__dataclass_fields__[name].default for name in bad})


def _value_problems(name: str, value: Any, hint: Any) -> Iterator[str]:
    kind, metadata, optional = unwrap(hint)
    if value is None:
        if not optional:
            yield f"{name} must be given"
    elif typing.get_origin(kind) is tuple:
        yield from _items_problems(name, value, typing.get_args(kind), metadata)
    elif not _is_a(value, kind):
        yield f"{name} must be {_WORDS[kind]}, got {value!r}"
    elif kind is float and not _is_finite(value):
        yield f"{name} must be a finite number, got {value}"
    elif kind is str and "\0" in value:
        yield f"{name} must not contain a null character"
    else:
        yield from _outside(name, value, metadata)


def _items_problems(name: str, values: Any, hints: tuple[Any, ...], metadata: tuple[Any, ...]) -> Iterator[str]:
    kind = unwrap(hints[0])[0]
    count = None if hints[-1] is ... else len(hints)
    is_valid = isinstance(values, tuple | list) and count in (None, len(values)) and all(_is_a(item, kind) for item in values)
    if not is_valid or kind is float and not all(map(_is_finite, values)):
        yield f"{name} must be {f'{count} ' if count else ''}{_PLURALS[kind]}, got {values!r}"
        return
    yield from _outside(name, values, metadata)
    for item in values:
        yield from _value_problems(name, item, hints[0])


def _outside(name: str, value: Any, metadata: tuple[Any, ...]) -> Iterator[str]:
    words = next((item.documentation for item in metadata if isinstance(item, DocInfo)), "")
    for item in metadata:
        match item:
            case Ge(least) if not value >= least:
                yield f"{name} must be at least {least}, got {value}"
            case Gt(least) if not value > least:
                yield f"{name} must be greater than {least}, got {value}"
            case Le(most) if not value <= most:
                yield f"{name} must be at most {most}, got {value}"
            case Lt(most) if not value < most:
                yield f"{name} must be less than {most}, got {value}"
            case MinLen(least) if len(value) < least:
                yield f"{name} must not be empty"
            case Predicate(is_valid) if not is_valid(value):
                yield f"{name} must be {words}, got {value!r}"


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_PLURALS = {int: "whole numbers", float: "finite numbers", str: "names"}


def _is_a(value: Any, kind: Any) -> bool:
    return type(value) is kind or kind is float and isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    return abs(value) <= sys.float_info.max and not math.isnan(value)  # a whole number may be too large for a float
