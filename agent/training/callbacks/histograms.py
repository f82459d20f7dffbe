"""Histograms for TensorBoard: the critic's return distribution, where it has one, and the priorities."""

import numpy as np

from agent.policy import Critic
from utils.replay.prioritised import PrioritisedReplay
from utils.tensorboard import TensorBoardWriter

SAMPLE = 1024  # transitions of the replay, at least, in a histogram
BUCKETS = 40  # of the histogram of priorities


def add_histograms(writer: TensorBoardWriter, critic: Critic, replay: PrioritisedReplay, alpha: float) -> None:
    """Histograms of the critic's return distribution and of the priorities, over the replay.

    Draws no random numbers: in the synchronous mode that would change the run.
    """
    if not len(replay):  # the run was ended before its first transition
        return
    rows = replay.view(SAMPLE)
    probs = critic.distribution(rows["obs"], rows["action"])  # [n, K]
    if probs is not None and critic.atoms is not None:  # both None of a scalar critic
        half = (critic.atoms[1] - critic.atoms[0]) / 2
        edges = np.append(critic.atoms - half, critic.atoms[-1] + half)
        writer.histogram("value/return_distribution", edges, probs.sum(axis=0), critic.version)
    if alpha > 0:  # otherwise all are the same
        priorities = rows["mass"] ** (1.0 / alpha)
        edges = np.geomspace(priorities.min() * 0.999, priorities.max() * 1.001, BUCKETS + 1)
        writer.histogram("replay/priorities", edges, np.histogram(priorities, edges)[0], critic.version)
