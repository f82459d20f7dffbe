"""The errors of the toolkit. Each has an exit code and a message of one sentence for the user."""


class ToolkitError(Exception):
    """Something a person can mend. The message says what, where and what to do."""

    exit_code = 1


class ParameterError(ToolkitError):
    """A parameter or a space that cannot be used."""

    exit_code = 2


class DependencyError(ToolkitError):
    """A package or a display that is not there."""

    exit_code = 3


class EnvironmentFailure(ToolkitError):
    """An environment raised, or answered with something that is not a finite number."""

    exit_code = 4


class DivergenceError(ToolkitError):
    """The learner's numbers went bad."""

    exit_code = 5


class StorageError(ToolkitError):
    """A folder or a disk that cannot be written."""

    exit_code = 6


class CheckpointError(ToolkitError):
    """A checkpoint that is missing, damaged or of another kind."""

    exit_code = 7


class FolderInUseError(ToolkitError):
    """Another process trains in this folder."""

    exit_code = 8


class Interrupted(KeyboardInterrupt):
    """A signal that asks the process to end has come; `exit_code` is 128 + its number."""

    exit_code = 130
