"""What the README, the pages of docs/ and the tests' README show and name is there."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agent.training.callbacks.logs import EPISODE_GROUPS, GROUPS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {
    path: path.read_text() for path in (ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/*.md")))
}
LINKS = [  # words, the file that they lead to, and the heading in it
    (words, Path(os.path.normpath(page.parent / target)), heading)
    for page, text in PAGES.items()
    for words, target, heading in re.findall(r"\[([^\]]*)\]\(((?!https?:)[^)#]+)#?([^)]*)\)", text)
]
PICTURES = [(words, path) for words, path, _ in LINKS if path.suffix in (".png", ".gif")]
NAMED_IN_TESTS = sorted(set(re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (ROOT / "tests" / "README.md").read_text())))
DRAWN = re.findall(r"python plot\.py [^`|\n]*(?:--ckpt-dir none|--shipped)[^`|\n]*\b", "\n".join(PAGES.values()))


def test_its_pictures_have_words_and_are_small():
    assert len(PICTURES) >= 5
    assert all(words for words, _ in PICTURES)
    shown = [path for _, path in PICTURES if ROOT / "benchmarks" not in path.parents]  # by the README and docs/
    assert sum(path.stat().st_size for path in shown) < 2_000_000


def test_its_links_lead_to_files():
    assert [path for _, path, _ in LINKS if not path.exists()] == []


def test_its_links_lead_to_headings():
    lost = [(path.name, name) for _, path, name in LINKS if name and name not in anchors(path.read_text())]
    assert lost == []


def anchors(page):
    """The headings of a page as a link names them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def paths_of(tree):
    """The paths of the files in a tree of names, in which two spaces are one level."""
    folders, found = [], []
    for line in tree.splitlines():
        name = line.split()[0]
        folders = folders[: (len(line) - len(line.lstrip())) // 2]
        if name.endswith("/"):
            folders.append(name)
        else:
            found.append("".join(folders) + name)
    return found


def test_its_tree_names_every_file_of_the_code():
    paths = paths_of(re.search(r"## The code\n.*?```\n(.*?)```", README, re.DOTALL)[1])
    files = [*ROOT.glob("*.py"), *ROOT.glob("agent/**/*.py"), *ROOT.glob("utils/**/*.py")]
    assert sorted(paths) == sorted(path.relative_to(ROOT).as_posix() for path in files if path.name != "__init__.py")


@pytest.mark.parametrize("line", DRAWN)
def test_the_commands_behind_its_pictures_draw_them_from_what_is_shipped(tmp_path, line):
    words = shlex.split(line)[2:]
    name = f"{words[0]}.png"
    several = "--envs" in words  # such a picture is in no environment's folder
    env = words[words.index("--env") + 1] if "--env" in words else "" if several else "Pendulum-v1"
    drawn = tmp_path / env / "shipped" / name
    if "--out" in words:
        name = words[words.index("--out") + 1]
        drawn = tmp_path / name
        words[words.index("--out") + 1] = str(drawn)
    command = [sys.executable, "plot.py", *words, "--plot-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    shipped = ROOT / "plots" / "shipped" / env / name
    assert shipped in [path for _, path in PICTURES]
    assert 0.5 < drawn.stat().st_size / shipped.stat().st_size < 2.0  # fonts and compression differ between machines


def test_both_drawings_have_their_command():
    assert {shlex.split(line)[2] for line in DRAWN} == {"curves", "maps"}


@pytest.mark.parametrize(("file", "test"), NAMED_IN_TESTS, ids=lambda word: word or "-")
def test_every_test_that_the_tests_own_page_names_exists(file, test):
    path = ROOT / "tests" / file
    tree = ast.parse((path if path.exists() else ROOT / file).read_text())
    assert not test or test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.slow(seconds=20)
def test_its_example_from_python_runs(tmp_path):
    example = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "agent.training" in code)
    folders = ", ".join(f"{name}_dir={str(tmp_path)!r}" for name in ("ckpt", "log", "results"))
    small = "num_steps_train=64, learning_starts=100, dense1_size=16, dense2_size=16, batch_size=32, max_ep_length=20"
    code = example.replace("num_steps_train=2000", f"{small}, {folders}")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "Pendulum-v1.ckpt-64" in done.stdout


@pytest.mark.slow(seconds=20)
def test_its_environment_in_ten_lines_trains(tmp_path):
    code = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "gymnasium.Env" in code)
    body = code.split("class Rocket(gymnasium.Env):")[1].split("gymnasium.register")[0]
    assert len(["class", *body.split("\n    ")[1:]]) == 10
    (tmp_path / "my_rocket.py").write_text(code)
    command = next(line for line in README.splitlines() if line == "python train.py --env my_rocket:Rocket-v0")
    small = "--num-steps-train 64 --learning-starts 100 --dense1-size 16 --dense2-size 16 --batch-size 32 --max-ep-length 20"
    folders = [word for name in ("ckpt", "log", "results") for word in (f"--{name}-dir", str(tmp_path))]
    words = [sys.executable, ROOT / "train.py", *command.split()[2:], *small.split(), *folders]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=280, env=os.environ | {"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert "my_rocket_Rocket-v0.ckpt-64" in done.stdout


def test_every_column_of_the_logs_is_explained():
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGES[ROOT / "docs/logs.md"], re.MULTILINE)
    explained = {name for cell in cells for name in re.findall(r"\w+", cell)}
    assert explained == {"learner_step", "env_step", "agent", *GROUPS, *EPISODE_GROUPS}
