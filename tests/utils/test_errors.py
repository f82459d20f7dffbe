"""Each kind of error has its exit code."""

from utils import errors

CODES = {
    "ParameterError": 2,
    "DependencyError": 3,
    "EnvironmentFailure": 4,
    "DivergenceError": 5,
    "StorageError": 6,
    "CheckpointError": 7,
    "FolderInUseError": 8,
}


def test_every_kind_of_error_has_its_documented_code():
    kinds = {cls.__name__: cls.exit_code for cls in errors.ToolkitError.__subclasses__()}
    assert kinds == CODES
