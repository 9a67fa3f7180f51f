# make demo   run examples/flights.py, the main job on real data
# make demo-beside  the same on dask.distributed too, in an environment of its own (a minute to make)
# make test   run the whole suite: the simulator over its seeds, then pytest
# make core   the tests of the state machines alone, in seconds
# make fuzz   mutated messages and requests against the cores; CASES=1000000 SEED=7 for so many, from that seed
# make chaos MINUTES=n SEED=s  a long random run while schedulers and workers are killed
# make chaos-journal KILLS=n SEED=s  kill a scheduler that has a journal, and count what is there
# make lint   ruff and mypy
# make dashboard  build the dashboard's page from its sources under dashboard/; needs npm
# make screenshots  the pictures of the dashboard in its documentation; needs Chromium
# make docs   the documentation as a site, docs/_build/html; a warning is an error
# make bench  compare with other systems, each in an environment of its own
# make deploy-tests  real Slurm, MPI, several hosts and so on; installs what they need, as root
# make ecosystem  run real projects on shoal under the name distributed, and on the incumbent
# make audit  the requirements against published advisories: pip-audit, and a list kept by hand
# make dist   the packages of a release, and whether they can be installed; see docs/releasing.md
# make changelog  gather newsfragments/ into CHANGELOG.md
# make clean  remove environments and caches
#
# Everything is installed from the package index into $(VENV) when first needed, and again when
# pyproject.toml changes. PYTHON names the interpreter to start from.

PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 0:2000
KILLS ?= 200
MINUTES ?= 60
CASES ?= 20000
SEED ?= 0
PYTEST_ARGS ?=
BENCH_ARGS ?=
ECOSYSTEM_ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-input
RIVALS := $(addprefix .venvs/bench-,dask dask-pages dask-2025 dask-data engines-data ray shoal shoal-data)

CORE_TESTS := tests/scheduler/core tests/worker/core tests/client/core tests/nanny/test_core.py

ECOSYSTEM := $(basename $(notdir $(wildcard ecosystem/requirements/*.txt)))
IN_SUITE := $(shell cat ecosystem/in_suite.txt)

.PHONY: demo demo-beside test deploy-tests core pytest sim fuzz chaos chaos-journal lint dashboard dashboard-check screenshots docs bench ecosystem dist changelog clean help
.SECONDARY:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# Beside the incumbent where `make demo-beside` or `make bench` installed it.
INCUMBENT := .venvs/bench-dask-data
BESIDE = $(if $(wildcard $(INCUMBENT)/.installed),--beside $(INCUMBENT)/bin/python)

demo: $(VENV)/.installed-demo
	$(BIN)/python examples/flights.py $(BESIDE)

demo-beside: $(INCUMBENT)/.installed $(VENV)/.installed-demo
	$(BIN)/python examples/flights.py --beside $(INCUMBENT)/bin/python

test: sim pytest

sim: $(VENV)/.installed-test
	$(BIN)/python -m shoal.simulation --seeds $(SEEDS)
	$(BIN)/python -m shoal.simulation --workers-die --tasks 10000 --seeds 0:200
	$(BIN)/python -m shoal.simulation --schedulers-die --seeds 0:200
	$(BIN)/python -m shoal.simulation --journal --seeds 0:200

chaos: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.chaos --minutes $(MINUTES) --seed $(SEED)

chaos-journal: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.journal_kills --kills $(KILLS) --seed $(SEED)

# After the simulator where both are asked for: pytest's closing line is the last one printed.
# The environments of some real projects, about a minute when first made, for tests/ecosystem.
pytest: $(VENV)/.installed-test $(patsubst %,.venvs/eco-%/.installed,$(IN_SUITE))
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What an engine needs of the system comes from Debian's packages where this is root; a test whose
# engine is not there is skipped and says why.
DEPLOY := tests/deploy/engines
deploy-tests: .venvs/deploy/.installed
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$(grep -v '^#' $(DEPLOY)/packages.txt) >/dev/null; fi
	.venvs/deploy/bin/python -m pytest --engines $(DEPLOY) tests/deploy/test_hosts.py $(PYTEST_ARGS)

# The cores' tests need neither sockets nor processes; pytest's last line says how many there were.
core: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q $(CORE_TESTS)

fuzz: $(VENV)/.installed-test
	$(BIN)/python tests/fuzzing/run.py --cases $(CASES) --seed $(SEED) --keep-going

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-tests.ini
	@command -v npm >/dev/null || echo "no npm here: what the dashboard is built from is not checked"
	! command -v npm >/dev/null || $(MAKE) dashboard-check

screenshots: $(VENV)/.installed-test
	$(BIN)/python docs/screenshots.py

dashboard: dashboard/node_modules/.installed
	cd dashboard && npm run --silent build

# Types, tests, and that what the package holds is what its sources build.
dashboard-check: dashboard/node_modules/.installed
	cd dashboard && npm run --silent check && npm test --silent && node build.mjs --check

dashboard/node_modules/.installed: dashboard/package-lock.json
	cd dashboard && npm ci --silent --no-audit --no-fund
	@touch $@

docs: .venvs/docs/.installed
	rm -rf docs/_build
	.venvs/docs/bin/python -m sphinx -j auto -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(addsuffix /.installed,$(RIVALS))
	.venvs/bench-shoal/bin/python benchmarks/run.py $(BENCH_ARGS)

ecosystem: $(patsubst %,.venvs/eco-%/.installed,$(ECOSYSTEM))
	$(PYTHON) ecosystem/run.py $(ECOSYSTEM_ARGS)
	$(PYTHON) ecosystem/own_tests.py

# pip-audit asks PyPI's database, and passes what comes from another index as "could not be audited";
# the list works everywhere, and looks at the floors, not only at what is installed.
.PHONY: audit
audit: $(VENV)/.installed-test .venvs/audit/.installed
	$(BIN)/python -m pip freeze --exclude-editable | .venvs/audit/bin/pip-audit --disable-pip --no-deps -r /dev/stdin
	$(BIN)/python audit/check.py --installed

dist: .venvs/release/.installed
	rm -rf dist .venvs/dist-check
	.venvs/release/bin/python -m build --outdir dist
	.venvs/release/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv .venvs/dist-check
	.venvs/dist-check/bin/python $(PIP_INSTALL) dist/*.whl
	cd /tmp && $(CURDIR)/.venvs/dist-check/bin/python -c 'from shoal import Client; c = Client(n_workers=1); print(c.submit(sum, [1, 2]).result()); c.close()'

changelog: .venvs/release/.installed
	.venvs/release/bin/towncrier build --yes \
	  --version "$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/shoal/__init__.py)"
	sed -i.old -E 's/\(#([0-9]+)\.[a-z-]+\)/(#\1)/' CHANGELOG.md && rm CHANGELOG.md.old # 13.words.fix.md

clean:
	rm -rf .venv .venvs build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks ecosystem examples -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- environments

# A stamp says that a step was finished; a half-made environment has none and is made again.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "shoal needs Python 3.11 or later; say which with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# .installed-test: the package, editable, with the extra "test"; likewise for the others.
$(VENV)/.installed-%: pyproject.toml $(VENV)/.made
	$(BIN)/python $(PIP_INSTALL) --editable '.[$*]'
	@touch $@

.venvs/audit/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) pip-audit
	@touch $@

# The same in environments of their own, for what the tests do not need: docs, release.
.venvs/docs/.installed .venvs/release/.installed: .venvs/%/.installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --editable '.[$*]'
	@touch $@

# All as their users install them, so shoal not editable: pip compiles what it installs, and what is
# not compiled may take a third longer to start. Versions of rivals are in the requirement files.
.venvs/bench-shoal%.installed: pyproject.toml $(shell find src -name '*.py') $(wildcard benchmarks/requirements-*.txt)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) . -r benchmarks/requirements-$(patsubst bench-%,%,$(notdir $(@D))).txt
	@touch $@

.venvs/bench-%/.installed: $(wildcard benchmarks/requirements-*.txt)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) -r benchmarks/requirements-$*.txt
	@touch $@

# The engines' own packages, and the incumbent, which these require; see tests/deploy/engines/README.md.
.venvs/deploy/.installed: pyproject.toml tests/deploy/engines/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) --editable '.[test]' -r tests/deploy/engines/requirements.txt
	@touch $@

# A project with both packages beside each other; see ecosystem/run.py.
.venvs/eco-%/.installed: pyproject.toml ecosystem/requirements/%.txt
	$(PYTHON) -m venv .venvs/eco-$*
	.venvs/eco-$*/bin/python $(PIP_INSTALL) --editable . -r ecosystem/requirements/$*.txt
	@touch $@
