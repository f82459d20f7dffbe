"""Plain English: words that make a sentence hard to read are not used."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AVOIDED = ["whoever", "anew", "nobody", "for ever", "shall", "stranger", "errand", "of one's own", "what there is"]
TEXTS = subprocess.run(["git", "ls-files", "*.py", "*.md", "Makefile"], cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("word", AVOIDED)
def test_no_text_uses_an_avoided_word(word):
    pattern = re.compile(rf"\b{word}s?\b", re.IGNORECASE)
    found = [
        f"{file}:{number}: {line.strip()[:80]}"
        for file in TEXTS.stdout.split()
        if file != "tests/test_style.py"
        for number, line in enumerate((ROOT / file).read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)
