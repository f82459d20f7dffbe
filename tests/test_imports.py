"""Which file may import which, which may load TensorFlow, and what no file may name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["train", "test", "play", "plot", "test_every_new_ckpt"]
# A file may import the files and folders above its own line, and those of its own line.
LAYERS = [
    "utils.errors utils.bounds",
    "utils.storage.files utils.storage.arrays utils.storage.lines utils.memory utils.retry_budget utils.media.figures",
    "utils.storage utils.media utils.console utils.threads utils.envs utils.parameters",
    "utils.tensorboard utils.replay utils.script utils.child utils.flags",
    "utils.logs",
    "params",
    "agent.names agent.scaling agent.exploration",
    "agent.policy",
    "agent.config agent.environment agent.runs",
    "agent.learning.averages agent.learning.losses agent.learning.scaling_tensors",
    "agent.learning.networks agent.learning.heads agent.learning.support",
    "agent.learning.actor_critic",
    "agent.learning.update agent.original",
    "agent.learning.running_scaling",
    "agent.learning agent.loading agent.agent",
    "agent.evaluation agent.random_play",
    "agent.analysis agent.training",
    " ".join(SCRIPTS),
]
TENSORFLOW = {
    "agent/learning/actor_critic.py",
    "agent/learning/heads.py",
    "agent/learning/losses.py",
    "agent/learning/networks.py",
    "agent/learning/scaling_tensors.py",
    "agent/learning/update.py",
    "agent/original.py",
}
WITHOUT_CODE = {"agent/__init__.py", "agent/learning/__init__.py", "utils/__init__.py"}  # any file imports its own folder
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "socketserver",
}
PROCESSES = {  # these exchange pickled messages with processes of their own run, when the user asks for it
    "multiprocessing": "agent/training/workers/process_agent.py",
    "ray": "agent/training/workers/ray_cluster.py",
    "socket": "agent/training/workers/ray_cluster.py",
}
FORBIDDEN_NAMES = {"load_model", "load_weights", "eval", "exec", "allow_pickle"}
LARGEST_FILE, LARGEST_FOLDER = 260, 14
LARGEST = {"train.py": 80, "params.py": 300}


def files():
    """Every Python file of the product, relative to the root."""
    found = [*ROOT.glob("*.py"), *ROOT.glob("agent/**/*.py"), *ROOT.glob("utils/**/*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def module(file):
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(file):
    """The modules that a file imports anywhere, except under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for inner in ast.walk(node):
                inner.names, inner.module = [], None
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def layer(name):
    """The number of the line of LAYERS that names a module, or its folder, most exactly."""
    places = {prefix: number for number, line in enumerate(LAYERS) for prefix in line.split()}
    prefixes = [prefix for prefix in places if name == prefix or name.startswith(prefix + ".")]
    return places[max(prefixes, key=len)] if prefixes else None


OURS = {module(file): file for file in files()}


@pytest.mark.parametrize("file", files())
def test_imports_follow_the_layers(file):
    if file in WITHOUT_CODE:
        return
    assert layer(module(file)) is not None, f"{file} has no place in LAYERS"
    for name in imports(file) & OURS.keys():
        if OURS[name] not in WITHOUT_CODE:
            assert layer(name) is not None, f"{OURS[name]} has no place in LAYERS"
            assert layer(name) <= layer(module(file)), f"{file} imports {name}"


@pytest.mark.parametrize("file", [file for file in files() if file.startswith("utils/")])
def test_utils_know_neither_the_algorithm_nor_the_parameters(file):
    assert not {name.split(".")[0] for name in imports(file)} & {"agent", "params", *SCRIPTS}


@pytest.mark.parametrize("file", files())
def test_tensorflow_is_imported_by_these_files_only(file):
    assert file in TENSORFLOW or not {name.split(".")[0] for name in imports(file)} & {"tensorflow", "keras"}


@pytest.mark.parametrize("file", files())
def test_no_file_names_what_runs_code_from_a_file_or_opens_a_port(file):
    imported = {name.split(".")[0] for name in imports(file)}
    assert not imported & FORBIDDEN_MODULES
    assert all(PROCESSES[name] == file for name in imported & PROCESSES.keys())
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        names = {getattr(node, field, None) for field in ("id", "attr", "arg")}
        assert not names & FORBIDDEN_NAMES, f"{file}:{node.lineno} names {names & FORBIDDEN_NAMES}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            assert node.attr not in ("load", "fromregex"), f"{file}:{node.lineno}"


@pytest.mark.parametrize("file", files())
def test_no_file_is_too_long(file):
    assert len((ROOT / file).read_text().splitlines()) <= LARGEST.get(file, LARGEST_FILE)


@pytest.mark.parametrize("folder", sorted({str(Path(file).parent) for file in files()} - {"."}))
def test_no_folder_is_crowded(folder):
    assert len(list((ROOT / folder).glob("*.py"))) <= LARGEST_FOLDER


@pytest.mark.parametrize("name", [*SCRIPTS, "agent.loading", "agent.training", "agent.analysis.report"])
def test_importing_loads_no_tensorflow_and_does_nothing(name):
    # By path, since the name `test` may be the standard library's.
    path = ROOT / (name.replace(".", "/") + ".py")
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    code = (
        f"import sys, importlib.util; sys.path.insert(0, {str(ROOT)!r})\n"
        f"spec = importlib.util.spec_from_file_location('script', {str(path)!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_scripts_name_no_function_that_pytest_would_collect():
    for script in SCRIPTS:
        for node in ast.parse((ROOT / f"{script}.py").read_text()).body:
            assert not (isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
