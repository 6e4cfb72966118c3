PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test batteries fuzz kill check lint types docs clean

demo: .venv/demo           ## run the main job: simulate, inspect, fit six ways, compare
	$(BIN)/trueward demo

PYTEST = OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n 2

test: .venv/ready          ## all tests but the batteries; two processes of one thread, a file in one of them
	$(PYTEST) --dist loadfile --no-loadscope-reorder -m "not battery" $(TESTS)

batteries: .venv/ready     ## coverage of intervals over hundreds of worlds, and a language model tuned to recovery
	$(PYTEST) -m battery

BATTERY = PYTHONPATH=tests OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m

fuzz: .venv/ready          ## 10,000 odd inputs; `make fuzz FUZZ="--inputs 500 --seed 7"` for others
	$(BATTERY) fuzz.run $(FUZZ)

kill: .venv/ready          ## 100 commands stopped at any moment; `make kill KILL="--kills 20 --seed 7"` for others
	$(BATTERY) kill.run $(KILL)

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready          ## the generated pages must have no diff
	$(BIN)/python docs/generate.py --check

check: lint types docs test

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trueward needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/demo: pyproject.toml constraints.txt | $(BIN)/python    # the library alone
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/ready: pyproject.toml constraints.txt .ci/install | $(BIN)/python    # and all that tests, lint, types and docs need
	.ci/install .venv -e '.[dev]'
	touch .venv/demo $@

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
