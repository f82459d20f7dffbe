"""One training run from start to end. `train(env="Pendulum-v1")` is the way in from Python."""

from agent.training.callbacks.callback import Callback
from agent.training.result import Result
from agent.training.runs import train, train_seeds
from agent.training.trainer import Trainer

__all__ = ["Callback", "Result", "Trainer", "train", "train_seeds"]
