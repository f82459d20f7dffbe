"""The errors of the toolkit. Each has an exit code and a message of one sentence for the user."""


class ToolkitError(Exception):
    """An error that the user can fix. The message says what, where and what to do."""

    exit_code = 1


class ParameterError(ToolkitError):
    """A parameter or a space that cannot be used."""

    exit_code = 2


class DependencyError(ToolkitError):
    """A missing package or display."""

    exit_code = 3


class EnvironmentFailure(ToolkitError):
    """An environment raised, or returned a number that is not finite."""

    exit_code = 4


class DivergenceError(ToolkitError):
    """The numbers of the learner are no longer finite."""

    exit_code = 5


class StorageError(ToolkitError):
    """A folder or a disk that cannot be written."""

    exit_code = 6


class CheckpointError(ToolkitError):
    """A checkpoint that is missing, damaged or of another kind."""

    exit_code = 7


class EnvMismatchError(CheckpointError):
    """A checkpoint of another environment than the parameters describe; the message names the flags to add."""


class FolderInUseError(ToolkitError):
    """Another process trains in this folder."""

    exit_code = 8


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end; `exit_code` is 128 + its number."""

    exit_code = 130
