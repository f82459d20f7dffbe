# make train, make test, make play, make watch, make report: each makes .venv and installs what it needs first, once.
# ARGS passes flags:  make train ARGS="--env LunarLanderContinuous-v3"

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.PHONY: train test play watch report lint clean

train: .venv/installed
	$(BIN)/python train.py $(ARGS)

play: .venv/installed
	$(BIN)/python play.py $(ARGS)

watch: .venv/installed
	$(BIN)/python test_every_new_ckpt.py $(ARGS)

report: .venv/installed
	$(BIN)/python plot.py report $(ARGS)

test: lint
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis
