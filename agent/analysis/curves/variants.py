"""Variants: settings that are compared, each by the runs that were trained with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agent.analysis.curves.curve import Curve, interquartile_mean, mean_curve, mean_score, shared_steps
from agent.analysis.curves.selection import EnvScores
from agent.analysis.plot_params import CurvesParams
from agent.runs import RunFiles, differing_parameters, named_runs
from utils.errors import ParameterError


class Variant(NamedTuple):
    """Runs of one setting in one environment, with their curves; `label` is empty where nothing is compared."""

    label: str
    runs: list[RunFiles]
    curves: list[Curve]

    @property
    def scored(self) -> list[Curve]:
        """The curves that have scores."""
        return [curve for curve in self.curves if len(curve.x)]

    def mean(self) -> Curve:
        """The mean of the runs with scores, empty without a common learner step.

        Raises ParameterError without scores, or if the runs were trained with different parameters.
        """
        scored = [run for run, curve in zip(self.runs, self.curves, strict=True) if len(curve.x)]
        if not scored:
            raise ParameterError(
                f"there are no scores of this kind of {', '.join(run.name for run in self.runs)}, so there is no mean."
            )
        if differing := differing_parameters(scored):
            raise ParameterError(
                f"these runs were trained with different parameters ({'; '.join(differing)}), so their mean and its interval "
                "say nothing about either; draw them without --mean."
            )
        mean = mean_curve(self.scored)
        labels = [self.label] * bool(self.label) + [mean.label] * (not self.label or len(self.runs) > 1)
        return replace(mean, label=": ".join(labels))


def variants_of(params: CurvesParams, scores: EnvScores) -> list[Variant]:
    """A variant for each pattern of --variants, or one of all runs with --mean, else none."""
    if params.mean:
        return [Variant("", scores.runs, scores.curves)]
    variants = []
    for pattern in params.variants or ():
        names = set(named_runs(params, pattern))
        own = [(run, curve) for run, curve in zip(scores.runs, scores.curves, strict=True) if run.name in names]
        label = re.sub(r"[-_.]?[*?]+$", "", pattern) or pattern
        variants.append(Variant(label, [run for run, _ in own], [curve for _, curve in own]))
    return variants


def areas(variants: Sequence[Variant]) -> list[str]:
    """A line for each variant: the mean score of each of its runs over the learner steps that all runs have."""
    scored = [curve for variant in variants for curve in variant.scored]
    steps = shared_steps(scored) if scored else np.zeros(0)
    if len(steps) < 2:
        return []
    lines = [f"mean score from learner step {steps[0]:,.0f} to {steps[-1]:,.0f} (area under the curve), run by run:"]
    for variant in variants:
        own = [mean_score(curve, steps) for curve in variant.scored]
        lines.append(f"{variant.label}: {np.mean(own):.1f} ({', '.join(f'{value:.1f}' for value in own)})")
    return lines


def comparison(by_env: Mapping[str, Sequence[Variant]]) -> list[str]:
    """A line for each variant: the interquartile mean of its runs' final scores, normalised for each environment.

    A final score is that of the last learner step that all runs of the environment have, else the run's last. 0 is the lowest
    score of any test of the compared runs until then, 1 the highest. Early tests count for these ends, so that runs which all
    learned are not spread from 0 to 1 by their noise. Raises ParameterError for equal scores.
    """
    lines: list[str] = []
    finals: list[list[np.ndarray]] = []  # for each environment, of each variant
    for env, variants in by_env.items():
        scored = [curve for variant in variants for curve in variant.scored]
        shared, last = shared_steps(scored), [curve.learner_steps[-1] for curve in scored]
        end = shared[-1] if len(shared) else max(last)
        if len(shared) and max(last) > end:
            lines.append(f"{env}: the final scores are those of learner step {end:,.0f}, the last that all runs have.")
        elif min(last) < max(last):
            lines.append(f"{env}: the final scores are from learner steps {min(last):,.0f} to {max(last):,.0f}.")
        scores = np.concatenate([curve.until(end).mean for curve in scored])
        if not scores.min() < scores.max():
            raise ParameterError(f"all scores of {env} are {scores[0]:g}, so they cannot be normalised.")
        of_variants = [np.array([curve.until(end).mean[-1] for curve in variant.scored]) for variant in variants]
        finals.append([(final - scores.min()) / np.ptp(scores) for final in of_variants])
    lines.append(f"Interquartile mean of the normalised final scores over {', '.join(by_env)}:")
    for variant, *of_envs in zip(variants, *finals, strict=True):
        mean, low, high = interquartile_mean(of_envs)
        known = f"95 % interval {low:.3f} to {high:.3f}"
        interval = "no interval, since an environment has a single run" if np.isnan(low) else known
        lines.append(f"{variant.label}: {mean:.3f}, {interval}, {' + '.join(str(len(final)) for final in of_envs)} runs")
    return lines
