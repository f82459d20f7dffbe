"""Prints a warning once when a run shows a fault: mass outside the support, or skipped updates."""

from collections.abc import Mapping

from agent.scaling import SETTLED, support_warnings
from agent.training.callbacks.callback import Callback, RunInfo


class RunWarnings(Callback):
    """Prints each warning once."""

    is_optional = True

    def on_start(self, run: RunInfo) -> None:
        """Keep the run's parameters and console."""
        self._run = run

    def on_metrics(self, learner_step: int, metrics: Mapping[str, float]) -> None:
        """Compare the metrics with their limits."""
        params, console = self._run.config, self._run.console
        if metrics["skipped_updates"]:
            console.say_once(
                "An update was skipped, because its numbers were not finite; learner.csv counts them (skipped_updates).",
                "skipped",
            )
        has_fixed_support = params.value_head == "categorical" and not params.has_automatic_support
        if has_fixed_support and learner_step >= SETTLED * params.num_steps_train:
            for name, sentence in support_warnings(metrics["target_mass_below"], metrics["target_mass_above"], *params.support):
                console.say_once(sentence, key=name)
