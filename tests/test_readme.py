"""The tables of tests/README.md: every test they name exists."""

import ast
import re

import pytest
from trainings import ROOT

NAMED = sorted(set(re.findall(r"`(\w+\.py)(?:::(\w+))?`", (ROOT / "tests/README.md").read_text())))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda word: word or "-")
def test_what_the_readme_names_exists(file, test):
    path = ROOT / "tests" / file
    tree = ast.parse((path if path.exists() else ROOT / file).read_text())
    assert not test or test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
