# The two commands of the README are `make compare` and `make test`; the rest is for developers.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# All cores; a worker that has no more tests takes some of another's.
PARALLEL = -n logical --maxprocesses 8 --dist worksteal

.PHONY: compare test test-fast test-slow docs bench gpu-check lint clean

# The stamps say what is installed; they are made anew only when the requirements change.
$(VENV)/.made:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'nasbench-lab needs Python 3.11 or newer; name one with make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing nasbench-lab into $(VENV) …"
	$(PIP) --editable .
	touch $@

# With what `.installed` stands for: each call of pip takes ten seconds.
$(VENV)/.installed-test: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing nasbench-lab and what its tests need into $(VENV) …"
	$(PIP) --editable '.[test,official]'
	touch $(VENV)/.installed $@

$(VENV)/.installed-peers: $(VENV)/.installed-test
	@echo "Installing what the slow tests compare with into $(VENV) …"
	$(PIP) --editable '.[test,official,peers]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed-test
	@echo "Installing what the site needs into $(VENV) …"
	$(PIP) --editable '.[test,official,docs]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	@echo "Installing linters and tox into $(VENV) …"
	$(PIP) --editable '.[test,official,dev]'
	touch $@

compare: $(VENV)/.installed
	$(BIN)/nasbench-lab compare

# Tests start many processes. They find the packages compiled, also where Python writes no bytecode.
test: $(VENV)/.installed-test
	$(BIN)/python -m compileall -q nasbench_lab algorithms tabular_data
	$(BIN)/python -m pytest -q $(PARALLEL)

# Nothing that draws, trains or starts processes, and no model that is fitted in each step.
test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not long" -k "not gp_bo" \
		tests/golden tests/property $(addprefix tests/unit/,algorithms benchmark experiment results simulator \
		spaces stats tables test_import_rules.py test_pareto.py test_workers.py)

test-slow: $(VENV)/.installed-peers
	$(BIN)/python -m pytest -q $(PARALLEL) -m slow -rP

# The site, in build/docs: offline, every warning is an error, and every link leads somewhere.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto docs build/docs
	@echo "The site is build/docs/index.html"

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable --benchmark-only --benchmark-quiet

# Where there is a GPU: training on it against training on the CPU, in under five minutes.
gpu-check: $(VENV)/.installed-test
	$(BIN)/python tests/gpu_check.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .tox build dist *.egg-info
