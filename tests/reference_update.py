"""The update of D4PG, DDPG and TD3 once more, in float64 NumPy with gradients by hand. For networks of two hidden layers.

Written from the papers (arXiv 1804.08617, 1509.02971, 1802.09477), it shares no code with the toolkit. Networks are lists of
[kernel, bias] for each layer; the action joins the critics' second layer.
"""

import copy

import numpy as np


class Reference:
    """Actor, critics, targets and Adam's moments in float64. `params` are a TrainParams, `atoms` [K] the support."""

    def __init__(self, params, actor, critics, atoms):
        self.params, self.atoms = params, np.asarray(atoms, np.float64)
        self.actor, self.critics = actor, critics
        self.target_actor, self.target_critics = copy.deepcopy((actor, critics))
        self.actor_adam, self.critic_adams = (
            Adam(params.actor_learning_rate),
            [Adam(params.critic_learning_rate) for _ in critics],
        )
        self.step = 0

    def update(self, obs, action, reward, discount, next_obs, weights, noise):
        """One update from a batch of scaled numbers. Returns the priorities [B]. `noise` [B, A] is standard normal."""
        params, batch = self.params, len(obs)
        next_action = np.tanh(forward(self.target_actor, next_obs)[-1])
        if params.target_noise:
            clip = params.target_noise_clip
            next_action = np.clip(next_action + np.clip(params.target_noise * noise, -clip, clip), -1, 1)
        next_outputs = [forward(critic, next_obs, next_action)[-1] for critic in self.target_critics]
        lower = np.argmin([self.values(output) for output in next_outputs], axis=0)
        next_output = np.array(next_outputs)[lower, np.arange(batch)]  # of the critic with the lower value
        target = self.target(next_output, reward, discount)

        losses = []
        for critic, adam in zip(self.critics, self.critic_adams, strict=True):
            layers = forward(critic, obs, action)
            loss, slope = self.loss(target, layers[-1])
            losses.append(loss)
            gradients, _ = backward(critic, layers, obs, slope * (weights / batch)[:, None], action)
            adam.apply(critic, clipped(gradients, params.max_gradient_norm))
        self.step += 1
        if self.step % params.policy_delay == 0:
            self.update_actor(obs)
            for network, follower in zip([self.actor, *self.critics], [self.target_actor, *self.target_critics], strict=True):
                for new, old in zip(network, follower, strict=True):
                    for i in range(2):
                        old[i] += params.tau * (new[i] - old[i])
        return np.mean(losses if self.is_categorical else [np.abs(target - q) for q in self.seen], axis=0)

    def update_actor(self, obs):
        params = self.params
        layers = forward(self.actor, obs)
        inputs = layers[-1]
        chosen = np.tanh(inputs)
        passes = [forward(critic, obs, chosen) for critic in self.critics]
        values = np.array([self.values(layers[-1]) for layers in passes])  # [critics, B]
        shares = {
            "first": np.eye(len(values))[:, :1] * np.ones_like(values),
            "lower": (values == values.min(axis=0)).astype(float),
            "mean": np.ones_like(values) / len(values),
        }[params.actor_value]
        slope = 2 * params.saturation_penalty * inputs / inputs.size
        for critic, seen, share in zip(self.critics, passes, shares, strict=True):
            outputs = seen[-1]
            if self.is_categorical:
                probs = softmax(outputs)
                by_output = probs * (self.atoms - self.values(outputs)[:, None])
            else:
                by_output = np.ones_like(outputs)
            _, by_action = backward(critic, seen, obs, -by_output * (share / len(obs))[:, None], chosen)
            slope = slope + by_action * (1 - chosen**2)
        gradients, _ = backward(self.actor, layers, obs, slope)
        self.actor_adam.apply(self.actor, clipped(gradients, params.max_gradient_norm))

    @property
    def is_categorical(self):
        return self.params.value_head == "categorical"

    def values(self, outputs):
        return softmax(outputs) @ self.atoms if self.is_categorical else outputs[:, 0]

    def target(self, next_output, reward, discount):
        self.seen = []
        if not self.is_categorical:
            return reward + discount * next_output[:, 0]
        spacing, last = self.atoms[1] - self.atoms[0], len(self.atoms) - 1
        target = np.zeros_like(next_output)
        for row, probs in enumerate(softmax(next_output)):
            for atom, mass in zip(self.atoms, probs, strict=True):
                moved = np.clip(reward[row] + discount[row] * atom, self.atoms[0], self.atoms[-1])
                place = (moved - self.atoms[0]) / spacing
                below = min(int(place), last - 1)
                target[row, below] += mass * (below + 1 - place)
                target[row, below + 1] += mass * (place - below)
        return target

    def loss(self, target, outputs):
        """The loss [B] of one critic, and its slope by the outputs."""
        if self.is_categorical:
            return -(target * np.log(softmax(outputs))).sum(axis=1), softmax(outputs) - target
        self.seen.append(outputs[:, 0])
        error = outputs[:, 0] - target
        slope = np.clip(error, -1, 1) if self.params.scalar_loss == "huber" else error
        return None, slope[:, None]


class Adam:
    """Kingma and Ba, 2015, with epsilon added to the root of the second moment before its correction, as Keras does."""

    def __init__(self, rate):
        self.rate, self.steps, self.moments = rate, 0, None

    def apply(self, network, gradients):
        self.steps += 1
        self.moments = self.moments or [[(np.zeros_like(part), np.zeros_like(part)) for part in layer] for layer in network]
        rate = self.rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for layer, moments, slopes in zip(network, self.moments, gradients, strict=True):
            for i, slope in enumerate(slopes):
                first, second = moments[i]
                moments[i] = first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                layer[i] = layer[i] - rate * first / (np.sqrt(second) + 1e-8)


def forward(network, obs, action=None):
    """The outputs of each layer, the last without ReLU."""
    layers, inputs = [], obs
    for i, (kernel, bias) in enumerate(network):
        if i == 1 and action is not None:
            inputs = np.concatenate([inputs, action], axis=1)
        outputs = inputs @ kernel + bias
        inputs = np.maximum(outputs, 0)
        layers.append(inputs if i < len(network) - 1 else outputs)
    return layers


def backward(network, layers, obs, slope, action=None):
    """The gradients of the kernels and biases, and of the action, for the slope [B, outputs] of a loss."""
    gradients, by_action = [], None
    for i in reversed(range(len(network))):
        inputs = layers[i - 1] if i else obs
        width = inputs.shape[1]
        if i == 1 and action is not None:
            inputs = np.concatenate([inputs, action], axis=1)
        gradients.insert(0, [inputs.T @ slope, slope.sum(axis=0)])
        slope = slope @ network[i][0].T
        if i == 1 and action is not None:
            slope, by_action = slope[:, :width], slope[:, width:]
        if i:
            slope = slope * (layers[i - 1] > 0)
    return gradients, by_action


def clipped(gradients, largest):
    norm = np.sqrt(sum((part**2).sum() for layer in gradients for part in layer))
    factor = min(1.0, largest / norm) if largest else 1.0
    return [[factor * part for part in layer] for layer in gradients]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
