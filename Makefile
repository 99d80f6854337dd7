# The tasks of a contributor: "make" lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell scripts/find-python)
# Most tests with real processes wait, so they outnumber the cores.
JOBS ?= 4

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(BIN)/.installed: pyproject.toml constraints.txt
	test -n "$(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable ".[all]" --group dev
	touch $@

UV := $(shell sed -n 's/^uv==//p' constraints.txt)

venv: $(BIN)/.installed ## Install everything into .venv.

docs: venv ## Build the documentation into docs/_build/html.
	@# -E: the tables come from the code, whose changes Sphinx does not notice.
	$(BIN)/sphinx-build -q -E -n -T -W --keep-going docs docs/_build/html

demo: venv ## Start the example, web and worker, and print its address.
	cd example && ../$(BIN)/python manage.py migrate --verbosity 0
	cd example && ../$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@echo
	@echo "    Starting the example. When the log says \"Listening at\", open"
	@echo "    http://127.0.0.1:$${PORT:-8000}/    Ctrl-C stops it."
	@echo
	@# exec: Ctrl-C and a SIGTERM for make's child reach the processes' own parent.
	@cd example && exec ../$(BIN)/python manage.py prodserver --all web worker

# As many test processes as cores, but not more than four: each takes memory.
check: lint ## Check style and types, and run the quick tests: two minutes, no Docker.
	@echo "check: style and types are right; running the quick tests"
	$(BIN)/pytest --quiet --numprocesses auto --maxprocesses 4 \
		-m "not process and not container"

test: ## Run all the tests, as CI does: 50 minutes, and it installs what it needs.
	JOBS=$(JOBS) scripts/test

lint: venv ## Check style, types and the direction of imports.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy
	$(BIN)/python -m django_prodserver.backends.introspection --check

mutants: venv ## Change the code in one place at a time; list changes that no test notices.
	$(BIN)/python scripts/mutants $(ONLY)

options: venv ## Rewrite the option tables from the installed servers.
	$(BIN)/python -m django_prodserver.backends.introspection

constraints: venv ## Pin the newest release of everything in constraints.txt.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--group dev --no-emit-index-url --no-annotate --no-header \
		--upgrade pyproject.toml --output-file constraints.txt

image: ## Build the images prodserver-base and prodserver-base:builder.
	scripts/engine
	set -e; python=$${PYTHON_IMAGE:-$$(docker/offline/choose python)}; \
	for target in runtime builder; do \
		tag=prodserver-base; [ $$target = runtime ] || tag=$$tag:$$target; \
		docker build --file docker/Dockerfile --build-arg PYTHON_IMAGE=$$python \
			--target $$target --tag $$tag .; \
	done

SUBJECTS := starts growth throughput load stops held_stops renewals blocked_log compare signals celery_stops containers probe applications failover lazy_imports

bench: venv ## Run all benchmarks; for one of them: make bench-starts
	@# One after the other, whatever -j says: side by side they would measure each other.
	@set -e; for subject in $(SUBJECTS); do $(MAKE) --no-print-directory bench-$$subject; done
	$(BIN)/python -m tests.readme

# BENCH=quick: a short run, which shows that it works.
bench-%: venv
	@case $* in \
		probe|containers|lazy_imports) scripts/engine ;; \
		load) scripts/need wrk wrk ;; \
		signals|celery_stops) scripts/need redis-server redis-server ;; \
		applications|failover) scripts/need redis-server redis-server; \
			command -v initdb >/dev/null || scripts/need pg_ctlcluster postgresql ;; \
	esac
	$(BIN)/python -m benchmarks.$* $(if $(filter quick,$(BENCH)),--quick)

clean: ## Remove everything that the other targets created.
	rm -rf $(VENV) docs/_build .nox .mypy_cache .pytest_cache .ruff_cache example/.data example/static-root

.PHONY: help venv docs demo check test lint mutants options constraints image bench clean
