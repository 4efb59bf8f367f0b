# Everything is called through here; `make` alone lists what there is.
# Settings (OCR_PORT=9000 make run) are described in .env.example.

.DEFAULT_GOAL := help
.PHONY: help setup run demo worker keys logs test test-long test-container torture bench simulate calibration check format pins clean

PYTHON := .venv/bin/python
ARGS ?=
#: For programs of the tests that are no tests; pytest knows it by itself.
WITH_PACKAGES := PYTHONPATH=hybrid-ocr-core:hybrid-ocr-api:hybrid-ocr-worker

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## install everything that is missing (all other targets do that themselves)
	@infra/local/setup.sh

# Tied to make, so that not even kill -9 on it leaves a stack behind.
run: setup ## run the whole service on this machine, until Ctrl-C
	@exec $(PYTHON) -I -S infra/local/tether.py TERM $$PPID $(PYTHON) -m infra.local.run

demo: setup ## send some documents to the running service (or to one of its own), and show what was read
	@$(PYTHON) -m infra.local.demo $(ARGS)

worker: setup ## a sub-command of the worker on the running stack, as in ARGS="dlq list"
	@exec $(PYTHON) -m infra.local.operate worker $(ARGS)

keys: setup ## the API keys of the running stack, as in ARGS="create --tenant acme --scopes submit,read"
	@exec $(PYTHON) -m infra.local.operate keys $(ARGS)

logs: ## follow the logs of `make run`
	@exec tail -n 20 -F $${OCR_DATA_DIR:-.local}/logs/*.log

test: setup ## the tests of every push; ARGS='-k queue' picks some
	$(PYTHON) -m pytest -m "not long" -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

test-long: setup ## the exhaustive ones
	$(PYTHON) -m pytest -m long $(ARGS)

test-container: setup ## sandbox and hostile files in the worker's own container; needs Docker
	@$(WITH_PACKAGES) $(PYTHON) -m tests.container

torture: setup ## every hostile file (and OCR_CORPUS_DIR's) through the whole stack, workers killed; ARGS='--seed 2'
	@$(WITH_PACKAGES) $(PYTHON) -m tests.torture $(ARGS)

bench: setup ## how fast it is, beside OCRmyPDF and others; ARGS="scans memory" picks parts, ARGS=--help tells which
	@$(WITH_PACKAGES) $(PYTHON) -m bench $(ARGS)

simulate: setup ## plans past this machine: queues, workers and costs by a model; ARGS=--check holds it against a real run
	@$(WITH_PACKAGES) $(PYTHON) -m bench.simulate $(ARGS)

calibration: setup ## is a word as often right as its confidence says? needs OCR_CORPUS_DIR; ARGS=--fit fits it anew
	@$(WITH_PACKAGES) $(PYTHON) -m bench.calibration $(ARGS)

check: setup ## formatting, lint and types
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

format: setup ## format, and repair what lint can repair
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

pins: setup ## requirements.in -> requirements.txt; ARGS=--upgrade for the newest versions
	$(PYTHON) -m infra.local.pins $(ARGS)

clean: ## remove caches and build leftovers
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis hybrid-ocr-core/build
	find . -path './.venv*' -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +
