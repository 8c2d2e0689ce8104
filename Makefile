# Everything runs in .venv, which the first target that needs it makes. Python 3.11, make and a C compiler are enough.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLUGINS := $(wildcard plugins/kistack-*)
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(PLUGINS))
# Threads that spin while they wait slow each other down many times over when several processes compute.
TESTS := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -p no:cacheprovider
BOTH_CORES := -n auto --dist loadfile
UNITS := $(BOTH_CORES) -m "not system and not speed and not fuzz"

.PHONY: demo test coverage test-system fuzz browser reference docs check lint types layers format clean

# With the binding that gives logits, perplexity and the check of an export are exact.
EXTRAS_kistack-gguf := [logits]

# One call names every local distribution, so that none of their names is ever looked up in an index.
$(STAMP): constraints.txt $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e ".[dev]" $(foreach p,$(PLUGINS),-e "$(p)$(EXTRAS_$(notdir $(p)))")
	$(BIN)/kistack models fetch demo --quiet
	touch $@

demo: $(STAMP)
	$(BIN)/kistack demo

# Bounds on time hold for a process that runs alone.
test: $(STAMP)
	$(TESTS) $(UNITS)
	$(TESTS) -m "speed and not system"

# Tracing doubles what the same tests take.
coverage: $(STAMP)
	$(TESTS) $(UNITS) --cov --cov-report=term --cov-fail-under=90

# The system's Chromium where a package manager has it, else the build that playwright brings.
browser: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[browser]"
	command -v chromium >/dev/null \
		|| { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } \
		|| $(BIN)/playwright install chromium

# The pages of docs/ that are written from the code; a test compares them with it.
reference: $(STAMP)
	PYTHONPATH=docs/tools $(BIN)/python -m kistack_docs

# The documentation as a site, under build/site. A broken link or anchor is an error; with --quiet it would not be.
docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test-system: browser docs
	$(TESTS) $(BOTH_CORES) -m system

# 5,000 random keys and sizes on every screen of the wizard.
fuzz: $(STAMP)
	$(TESTS) $(BOTH_CORES) -m fuzz

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

check: lint types layers test

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
