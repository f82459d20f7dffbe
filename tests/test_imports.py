"""The arrows of the house: who may import whom, and who may load TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["train", "test", "play", "plot", "test_every_new_ckpt"]
# Inside utils/ only these arrows exist, besides those to errors and lines.
UTILS = {
    "env_spec": {"envs"},
    "replay": {"segment_tree", "experience"},
    "sealed_folder": {"arrays"},
    "checkpoints": {"sealed_folder"},
    "runs": {"checkpoints", "sealed_folder"},
    "watcher": {"bell", "checkpoints", "results", "runs", "sealed_folder"},
    "metrics": {"board"},
    "overlay": {"labels"},
    "video": {"files", "overlay"},
    "page": {"files"},
    "curves": {"checkpoints", "figures", "results", "runs"},
    "errors": {"threads"},
    "flags": {"parameters"},
}


def imports_of(path):
    """The modules that a file imports anywhere, except under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for inner in ast.walk(node):
                inner.names, inner.module = [], None
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("utils/*.py")), ids=lambda path: path.name)
def test_utils_know_neither_the_algorithm_nor_the_parameters(path):
    for name in imports_of(path):
        assert name.split(".")[0] not in {"agent", "params", *SCRIPTS}, f"{path.name} imports {name}"
        parts = name.split(".")
        if parts[0] == "utils" and len(parts) > 1 and parts[1] not in ("errors", "lines"):
            assert parts[1] in UTILS.get(path.stem, set()), f"{path.name} imports {name}"


def test_params_imports_the_standard_library_and_the_vocabulary_of_bounds_only():
    imported = {name.split(".")[0] for name in imports_of(ROOT / "params.py")}
    assert imported - {"annotated_types"} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted([*ROOT.glob("*.py"), *ROOT.glob("agent/*.py")]), ids=lambda path: path.name)
def test_nothing_imports_a_script(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & set(SCRIPTS)


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.py"), *ROOT.glob("agent/*.py"), *ROOT.glob("utils/*.py")]), ids=lambda p: p.name
)
def test_tensorflow_is_imported_by_five_files_only(path):
    rooms = {"networks.py", "heads.py", "losses.py", "update.py", "original.py"}
    assert path.name in rooms or not {name.split(".")[0] for name in imports_of(path)} & {"tensorflow", "keras"}


@pytest.mark.parametrize(
    "module",
    ["test", "play", "plot", "test_every_new_ckpt", "train", "agent.archive", "agent.turns", "agent.progress", "agent.choice"],
)
def test_importing_loads_no_tensorflow_and_does_nothing(module):
    # By path, since the name `test` may be the standard library's.
    path = ROOT / (module.replace(".", "/") + ".py")
    code = (
        f"import sys, importlib.util; sys.path.insert(0, {str(ROOT)!r})\n"
        f"spec = importlib.util.spec_from_file_location('script', {str(path)!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_scripts_name_no_function_that_pytest_would_collect():
    for script in SCRIPTS:
        for node in ast.parse((ROOT / f"{script}.py").read_text()).body:
            assert not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "socket",
    "socketserver",
}
FORBIDDEN_NAMES = {"load_model", "load_weights", "eval", "exec", "allow_pickle"}


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.py"), *ROOT.glob("agent/*.py"), *ROOT.glob("utils/*.py")]), ids=lambda p: p.name
)
def test_no_file_of_ours_names_what_runs_code_from_a_file_or_opens_a_port(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & FORBIDDEN_MODULES
    for node in ast.walk(ast.parse(path.read_text())):
        names = {getattr(node, field, None) for field in ("id", "attr", "arg")}
        assert not names & FORBIDDEN_NAMES, f"{path.name}:{node.lineno} names {names & FORBIDDEN_NAMES}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            assert node.attr not in ("load", "fromregex"), f"{path.name}:{node.lineno}"
