PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test batteries fuzz kill gallery check lint types docs site dist test-dist test-wheel clean

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

gallery: .venv/ready       ## run the scripts of examples/gallery; their pages must have no diff
	$(BIN)/python examples/gallery/run.py --check

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/ready
	$(BIN)/mypy

docs: .venv/ready          ## the generated pages must have no diff
	$(BIN)/python docs/generate.py --check

site: .venv/site           ## the pages as a site, with search and the Python reference, in build/site/html
	$(BIN)/python docs/build_site.py $(SITE)

check: lint types docs test

dist: .venv/ready          ## wheel and sdist, in dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

test-dist: dist            ## the demo from the wheel and from the sdist, each in an environment of its own
	for file in dist/*.whl dist/*.tar.gz; do \
	  rm -rf .venv-dist && $(PYTHON) -m venv .venv-dist && .ci/install .venv-dist "$$file" && \
	  (cd .venv-dist && bin/trueward demo --out demo.html && test -s demo.html) || exit 1; done

test-wheel: dist           ## the tests on the built wheel, such as of another Python: make test-wheel PYTHON=python3.13
	rm -rf .venv-wheel && $(PYTHON) -m venv .venv-wheel
	.ci/install .venv-wheel "trueward[dev] @ file://$$(ls $(CURDIR)/dist/*.whl)"
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv-wheel/bin/python -m pytest -q -n 2 --dist loadfile -m "not battery" $(TESTS)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trueward needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/demo: pyproject.toml constraints.txt | $(BIN)/python    # the library alone
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/ready: pyproject.toml constraints.txt .ci/install | $(BIN)/python    # and all that tests, lint, types and docs need
	.ci/install .venv -e '.[dev]'
	touch .venv/demo $@

.venv/site: pyproject.toml constraints.txt .venv/ready    # and the builder of the site
	.ci/install .venv -e '.[dev,docs]'
	touch .venv/demo .venv/ready $@

clean:
	rm -rf .venv .venv-dist .venv-wheel dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
