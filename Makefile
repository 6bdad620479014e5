# make help lists what there is. Everything runs in .venv, made on first use; written for GNU make 3.81.

PYTEST = .venv/bin/python -m pytest
STUDY = simulations/teacher-student-phase-diagram/study.toml
PROFILE = laptop
JOBS = 2

.NOTPARALLEL:
.PHONY: help scan test bench validate notebooks clean

help:
	@echo 'make scan       compute the phase diagram of the teacher-student perceptron (STUDY=..., PROFILE=...)'
	@echo 'make test       lint, types, layers, and every test'
	@echo 'make bench      time the compiled kernels against plain NumPy'
	@echo 'make validate   the heavy checks: slow tests, and every study with its laptop profile'
	@echo 'make notebooks  execute the notebooks from their sources'
	@echo 'make clean      remove .venv and caches; results stay'

scan: .venv/core.done
	.venv/bin/physlearn scan '$(STUDY)' --profile '$(PROFILE)'

test: .venv/dev.done
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports
	$(PYTEST) -n $(JOBS)

bench: .venv/dev.done
	$(PYTEST) tests/benchmarks --benchmark-only -s

validate: .venv/dev.done
	$(PYTEST) -n $(JOBS) -m 'slow or validation' || [ $$? -eq 5 ] # 5: there is none yet
	for study in simulations/*/study.toml; do \
		.venv/bin/physlearn scan "$$study" --profile laptop || exit 1; \
	done

notebooks: .venv/dev.done
	.venv/bin/python -m jupytext --to ipynb --execute notebooks/*.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/core.done: pyproject.toml .ci/setup
	@sh .ci/setup
	@touch $@

# The tests' set-up is the library's and more.
.venv/dev.done: pyproject.toml .ci/setup
	@sh .ci/setup dev
	@touch .venv/core.done $@
