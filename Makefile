# make train, make test, make play, make watch, make report: each makes .venv and installs what it needs first, once.
# make bench does the same in .venv-bench, which the peers' packages have to themselves, and takes hours.
# ARGS passes flags:  make train ARGS="--env LunarLanderContinuous-v3"

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
BENCH := .venv-bench/bin

.PHONY: train test play watch report lint bench clean

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

bench: .venv-bench/installed
	for name in learner replay acting startup training scaling runners ray_ingest rewards environments time_to_score; do \
		$(BENCH)/python benchmarks/$$name.py --json benchmarks/results/$$name.json $(ARGS) || exit 1; done
	$(BENCH)/python benchmarks/time_to_score.py --env LunarLanderContinuous-v3 --seeds 1 2 \
		--json benchmarks/results/time_to_score_lunarlander.json $(ARGS)
	$(BENCH)/python benchmarks/pictures.py --results benchmarks/results --into benchmarks/results

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt requirements-ray.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements-dev.txt
	touch $@

.venv-bench/installed: benchmarks/requirements.txt requirements-ray.txt requirements.txt
	$(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench .pytest_cache .ruff_cache .mypy_cache .hypothesis
