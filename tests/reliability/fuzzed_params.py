"""Parameter sets and command lines drawn at random, and those of them that are not answered as they should be.

tests/test_params.py draws 10 000 and 200; `PYTHONPATH=. python tests/reliability/fuzzed_params.py 1000000 [seed]` draws more.
"""

import contextlib
import dataclasses
import io
import math
import random
import sys
import typing

from annotated_types import Ge, Gt, Le

import params
from agent.analysis import plot_params
from agent.analysis.plot_params import PlotParams, RunPlotParams
from agent.config import resolve
from utils import flags
from utils.errors import ParameterError
from utils.parameters import unwrap

SHARED = (PlotParams, RunPlotParams)  # no script has these by themselves
MODULES = vars(params) | vars(plot_params)
CLASSES = [kind for name, kind in MODULES.items() if name.endswith("Params") and kind not in SHARED]


def kind_of(cls, name):
    """The type of a field, without its `| None` and its bounds."""
    return unwrap(typing.get_type_hints(cls)[name])[0]


def bounds_of(cls, name):
    """The least value of a field, the greatest, and whether the least itself is allowed."""
    metadata = unwrap(typing.get_type_hints(cls, include_extras=True)[name])[1]
    least = next((item for item in metadata if isinstance(item, Ge | Gt)), Gt(-math.inf))
    greatest = next((item.le for item in metadata if isinstance(item, Le)), math.inf)
    return (least.ge, greatest, True) if isinstance(least, Ge) else (least.gt, greatest, False)


def bad_values(cls, name):
    """Values that no field of this name can have."""
    kind = kind_of(cls, name)
    special = {
        "env": [""],
        "run": ["a/b", "..", "shipped"],
        "format": ["avi"],
        "x": ["steps"],
        "algorithm": ["d4"],
        "noise": ["uniform"],
        "obs_scale": [(-1.0, 1.0), (0.0,), ()],
        "obs_mean": [()],
    }.get(name, [])
    if kind in (int, float):
        least, greatest, inclusive = bounds_of(cls, name)
        outside = [least - max(1, abs(least)) if inclusive else least, greatest * 2]
        outside = [kind(value) for value in outside]
        return [True, "x", b"1", [], {}, math.nan, math.inf, 1.5 if kind is int else 10**400, *outside, *special]
    if kind is bool:
        return [0, 1, 0.5, "yes", [], *special]
    if kind is str:
        return [5, 1.5, True, [], b"bytes", "a\0b", *special]
    words = {"runs": ["a/b"], "variants": ["a/b"], "envs": [""]}.get(name, ["x"])
    return [5, "123", [math.nan], [math.inf, 1], [True], words, [None], {1.0: 2.0}, [10**400], *special]


BAD = {cls: {field.name: bad_values(cls, field.name) for field in dataclasses.fields(cls)} for cls in CLASSES}


def misspelt(name, rng):
    """The name with two neighbouring letters exchanged, or one lost or doubled."""
    if len(name) == 1:
        return 2 * name
    place = rng.randrange(len(name) - 1)
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    return rng.choice([swapped, name[:place] + name[place + 1 :], name[: place + 1] + name[place:]])


def faults(count, seed=0):
    """Draw `count` sets of bad values, default ones, and misspelt names; yield each that is not answered as it should be."""
    rng = random.Random(seed)
    for _ in range(count):
        cls = rng.choice(CLASSES)
        names = rng.sample(sorted(BAD[cls]), rng.randint(1, min(8, len(BAD[cls]))))
        bad = {name: rng.choice(BAD[cls][name]) for name in names}
        sound = {name: getattr(cls(), name) for name in rng.sample(sorted(BAD[cls]), 3) if name not in bad}
        drawn = {misspelt(name, rng) for name in rng.sample(sorted(BAD[cls]), rng.randint(0, 2))}
        strange = dict.fromkeys(drawn - set(BAD[cls]), 1)
        try:
            resolve(cls, bad | sound | strange)
            answer = "taken"
        except ParameterError as error:
            answer = str(error)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        sentences = answer.split("; ")
        blamed = {sentence.split()[0] for sentence in sentences if not sentence.startswith("there is no parameter ")}
        unknown = {sentence.split()[4].rstrip(",") for sentence in sentences if sentence.startswith("there is no parameter ")}
        if blamed != set(bad) or unknown != set(strange) or any("did you mean" not in answer for _ in strange):
            yield cls.__name__, bad | sound | strange, answer


NUMBERS = ["0", "1", "-1", "1.5", "nan", "-inf", "1e400", "1e-400", "0x10", "1_000", "9999999999999999999999", "½"]
WORDS = [*NUMBERS, "", "True", "False", "None", "yes", "=", "--", "-", "-x", "\0", "é", "\ud800", "*", "'", '"']


def faults_of_flags(count, seed=0):
    """Draw `count` lines of flags, right, misspelt or negated, with odd words behind them; yield each that has another end than
    values, a ParameterError, or code 2.
    """
    rng = random.Random(seed)
    for _ in range(count):
        cls = rng.choice(CLASSES)
        line = []
        for name in rng.sample(sorted(BAD[cls]), rng.randint(1, 4)):
            flag = rng.choice(["--", "--", "--no-"]) + rng.choice([name, name, misspelt(name, rng)]).replace("_", "-")
            words = [rng.choice(WORDS) for _ in range(rng.choice([0, 1, 1, 1, 3]))]
            line += [f"{flag}={words[0]}"] if words and rng.random() < 0.2 else [flag, *words]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                flags.parse(cls, resolve, line)
        except ParameterError:
            continue
        except SystemExit as end:
            if end.code != 2:
                yield cls.__name__, line, f"code {end.code}"
        except Exception as error:
            yield cls.__name__, line, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    wanted, *start = map(int, sys.argv[1:])
    found = [*faults(wanted, *start), *faults_of_flags(wanted // 50, *start)]
    print(*found[:20], f"{len(found)} of {wanted:,} sets and {wanted // 50:,} command lines answered wrongly", sep="\n")
    sys.exit(bool(found))
