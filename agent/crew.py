"""The crew: all agents at work, each in a thread of its own, and an eye on those that hang or give up."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.agent import Agent
from utils.console import Console
from utils.errors import EnvironmentFailure
from utils.stacks import write_stacks

LOOK = 0.5  # seconds between two looks at the agents
PATIENCE = 3.0  # seconds that the agents have to come back when all is to stop


class Crew:
    """Runs the agents that `make_agent(index)` makes. An agent that gives up leaves the work to the others."""

    def __init__(self, make_agent: Callable[[int], Agent], size: int, env_timeout: float, stacks: Path, console: Console):
        self.agents = [make_agent(index) for index in range(size)]
        self._make_agent, self._env_timeout, self._stacks, self._console = make_agent, env_timeout, stacks, console
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException | None] = [None] * size  # why an agent is not at work any more

    def run(self, stop: threading.Event, work: Callable[[Agent], None]) -> None:
        """Have every agent do `work(agent)` until told to stop; an agent that hangs is replaced.

        Raises EnvironmentFailure when all have given up, and at once whatever else an agent raised.
        """
        self._threads = [self._start(agent, work) for agent in self.agents]
        while not stop.wait(LOOK):
            for index, agent in enumerate(self.agents):
                since = agent.waiting_since
                if self._errors[index] is None and since is not None and time.monotonic() - since > self._env_timeout:
                    self._replace(index, work)
            self._look_at_errors()
        deadline = time.monotonic() + PATIENCE
        for agent, thread in zip(self.agents, self._threads, strict=True):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                where = write_stacks(self._stacks, [thread])
                self._console.say(f"agent {agent.index} did not come back and is left behind; {where}.")

    def _start(self, agent: Agent, work: Callable[[Agent], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work(agent)
            except BaseException as error:
                if not agent.is_retired:
                    self._errors[agent.index] = error

        thread = threading.Thread(target=guarded, name=f"agent {agent.index}", daemon=True)
        thread.start()
        return thread

    def _replace(self, index: int, work: Callable[[Agent], None]) -> None:
        """Leave a hanging agent behind; one in the same state, with new environments, goes on in its place."""
        hanging = self.agents[index]
        hanging.is_retired = True
        where = write_stacks(self._stacks, [self._threads[index]])
        sentence = f"agent {index} has waited for its environment for more than {self._env_timeout:g} seconds; {where}"
        if hanging.restarts.spend() is None:
            self._errors[index] = EnvironmentFailure(sentence)
            return
        self._console.say(f"{sentence}. It is replaced.")
        agent = self._make_agent(index)
        agent.restore(hanging.state())
        agent.restarts = hanging.restarts
        self.agents[index] = agent
        self._threads[index] = self._start(agent, work)

    def _look_at_errors(self) -> None:
        failed = [error for error in self._errors if error is not None]
        for error in failed:
            if not isinstance(error, EnvironmentFailure):
                raise error
            self._console.say_once(f"An agent has given up: {error}.")
        if len(failed) == len(self.agents):
            raise EnvironmentFailure(f"no agent is left; the last to give up was {failed[-1]}") from failed[-1]

    @property
    def repeated_steps(self) -> int:
        """Environment steps beyond the first of each action."""
        return sum(agent.repeated_steps for agent in self.agents)

    def state(self) -> list[dict[str, Any]]:
        """The agents' states, for `restore`."""
        return [agent.state() for agent in self.agents]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Give the agents the states of those before them; agents that have none begin anew."""
        for agent, state in zip(self.agents, states, strict=False):
            agent.restore(state)
