"""Types of parameters: numbers with their bounds, and choices. utils/parameters.py checks values against them."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Predicate, doc

LARGE = 1e30  # float32 holds it and its inverse

Number = Annotated[float, Ge(-LARGE), Le(LARGE)]
Divisor = Annotated[float, Ge(1 / LARGE), Le(LARGE)]
Share = Annotated[float, Ge(0), Le(1)]
Rate = Annotated[float, Gt(0), Le(1)]
Weight = Annotated[float, Ge(0), Le(10)]
Count = Annotated[int, Ge(1), Le(10**6)]
LearnerStep = Annotated[int, Ge(0)]
Steps = Annotated[int, Ge(1), Le(10**12)]
EpisodeLength = Annotated[int, Ge(1), Le(10**9)]
Repeats = Annotated[int, Ge(1), Le(1000)]

Format = Annotated[str, Predicate(("gif", "mp4").__contains__), doc("gif or mp4")]
Noise = Annotated[str, Predicate(("gaussian", "ou").__contains__), doc("gaussian or ou")]
ScalePer = Annotated[str, Predicate(("same", "agent", "episode").__contains__), doc("same, agent or episode")]
DecayPer = Annotated[str, Predicate(("episode", "step", "none").__contains__), doc("episode, step or none")]
Priority = Annotated[str, Predicate(("cross_entropy", "kl").__contains__), doc("cross_entropy or kl")]
Schedule = Annotated[str, Predicate(("constant", "linear", "cosine").__contains__), doc("constant, linear or cosine")]
ValueHead = Annotated[str, Predicate(("categorical", "scalar").__contains__), doc("categorical or scalar")]
ScalarLoss = Annotated[str, Predicate(("squared", "huber").__contains__), doc("squared or huber")]
ActorValue = Annotated[str, Predicate(("first", "lower", "mean").__contains__), doc("first, lower or mean")]
Runner = Annotated[str, Predicate(("threads", "processes", "ray").__contains__), doc("threads, processes or ray")]
