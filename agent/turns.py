"""The synchronous mode: agents and learner take turns in one thread, so that a seed gives the same run bit for bit."""

from collections.abc import Callable
from itertools import cycle
from threading import Event
from typing import TYPE_CHECKING

from agent.agent import BLOCK, Agent
from utils.errors import EnvironmentFailure
from utils.experience import Block, Episode
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay

if TYPE_CHECKING:
    from agent.learner import Keeper, Learner  # TensorFlow, which nothing here needs


class Turns:
    """Before each of the learner's calls the agents add what the ratio asks for, BLOCK transitions in turn.

    An environment cannot be saved. So at each checkpoint the unfinished episodes end as truncated, the environments are
    made anew and the first agent is the next one: whoever resumes there finds what the run itself found there.
    """

    def __init__(
        self,
        learner: "Learner",
        agents: list[Agent],
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        keeper: "Keeper",
        report: Callable[[Agent, Episode], None],
        failed: Callable[[Agent, EnvironmentFailure], None],
    ):
        self._learner, self._agents, self._replay, self._limiter = learner, agents, replay, limiter
        self._keeper, self._report, self._failed = keeper, report, failed
        self._order = cycle(agents)

    def run(self, batch_size: int, stop: Event) -> None:
        """Take turns until num_steps_train or until told to stop."""
        while (updates := self._learner.updates_due(self._learner.learner_step)) and not stop.is_set():
            count = updates * batch_size
            while (due := self._limiter.inserts_due(count)) and not stop.is_set():
                agent = next(self._order)
                block = agent.collect_or_restart(min(BLOCK, due), stop, self._failed)
                if block is not None:
                    self._add(agent, block)
            if self._limiter.may_sample(count, stop):
                self._learner.advance(self)

    def save(self) -> None:
        """End all episodes, and keep everything."""
        for agent in self._agents:
            block = agent.cut()
            if block is not None:
                self._add(agent, block)
        self._order = cycle(self._agents)
        self._keeper.save()

    def reload(self) -> bool:
        """Put the learner back to the newest whole checkpoint; False when there is none."""
        return self._keeper.reload()

    def _add(self, agent: Agent, block: Block) -> None:
        self._replay.add(block)
        self._limiter.inserted(len(block))
        for episode in block.episodes:
            self._report(agent, episode)
