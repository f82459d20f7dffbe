"""A budget of restarts that successful steps refill, with growing pauses between restarts."""

EARNED_EVERY = 1_000  # successful steps that add one restart
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds; each pause is twice the one before


class RetryBudget:
    """Holds at most `budget` restarts. They never run out at less than one failure in EARNED_EVERY steps."""

    def __init__(self, budget: int):
        self._budget = budget
        self._left = budget
        self._steps = 0  # successful ones towards the next restart

    def record_success(self, steps: int) -> None:
        """Count successful steps."""
        earned, self._steps = divmod(self._steps + steps, EARNED_EVERY)
        self._left = min(self._budget, self._left + earned)

    def next_pause(self) -> float | None:
        """Use one restart. Returns the seconds to wait before it, or None when none is left."""
        if not self._left:
            return None
        used = self._budget - self._left
        self._left -= 1
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(used, 10))  # a greater power could overflow
