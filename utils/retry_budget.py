"""How often something that fails may be started again: a budget that sound work fills up again, and growing pauses."""

EARNED_EVERY = 1_000  # sound steps that give one restart back
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds; each pause is twice the one before


class RetryBudget:
    """At most `budget` restarts in hand. What fails less than once in EARNED_EVERY steps never runs out of them."""

    def __init__(self, budget: int):
        self._budget = budget
        self._left = budget
        self._sound_steps = 0

    def record_success(self, steps: int) -> None:
        """Count steps that went well."""
        self._sound_steps += steps
        earned, self._sound_steps = divmod(self._sound_steps, EARNED_EVERY)
        self._left = min(self._budget, self._left + earned)

    def next_pause(self) -> float | None:
        """Use one up: the seconds to wait before it, or None when none is left."""
        if not self._left:
            return None
        self._left -= 1
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._budget - self._left - 1))
