"""Names that environments and parameters have elsewhere."""

# fmt: off
# The ids that the original used, what they are called today, and what changed in between.
RENAMED = {
    "Pendulum-v0": ("Pendulum-v1", "the speed is now clipped before it moves the pendulum"),
    "LunarLanderContinuous-v2": ("LunarLanderContinuous-v3", "wind is drawn again at each reset; without wind it is as before"),
    "BipedalWalker-v2": ("BipedalWalker-v3", "the lidar now reports the nearest point instead of the furthest"),
    "BipedalWalkerHardcore-v2": ("BipedalWalkerHardcore-v3", "the lidar now reports the nearest point instead of the furthest"),
}

# Other libraries' names of parameters. The message about an unknown parameter suggests these.
ALIASES: dict[str, tuple[str, ...]] = {
    "lr": ("critic_learning_rate", "actor_learning_rate"), "gamma": ("discount_rate",), "buffer_size": ("replay_mem_size",),
    "total_timesteps": ("num_steps_train",), "episodes": ("num_eps_test", "num_eps_play"), "warmup": ("learning_starts",),
    "sigma": ("noise_scale",), "name": ("run",), "checkpoint": ("ckpt_file",), "parallel": ("runner",),
}
# fmt: on
