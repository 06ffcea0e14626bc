# Every command sets up what it needs by itself, in .venv/. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help quick lab book pdf execute sweep test check mutate bench kaggle lint publish address lock clean
export PYTHON DATASET DATA EPOCHS SEED DEVICES SOLUTIONS PORT OWNER INPUTS PUSH TORCH JAX RECORD CLOCK FILE
# those of them that stand in the shell and not on the command line: the commands name them
FROM_ENVIRONMENT := $(foreach n,PYTHON DATASET DATA EPOCHS SEED DEVICES SOLUTIONS PORT OWNER INPUTS PUSH TORCH JAX RECORD CLOCK FILE,$(if $(filter environment,$(origin $n)),$n))
export FROM_ENVIRONMENT
RUN := sh tools/setup/in_env.sh
RUN_DEV := $(RUN) --dev

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{printf "%-16s %s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=3.11 (a version or a path)   DATASET=cifar100|cifar10|mnist|digits   DATA=<folder or archive>"
	@echo "  EPOCHS=<whole number>   SEED=<whole number>   DEVICES=<GPUs>   SOLUTIONS=no (make book, make pdf)   PORT=<number> (make lab)"

quick: ## every chapter on small embedded data, then the rendered book; minutes, no data to download
	@$(RUN) -m tools.chapters.quick

lab: ## JupyterLab on copies of the chapters in _build/lab/
	@$(RUN) -m tools.chapters.lab

book: ## render what is committed, strictly
	@$(RUN) -m tools.render.html

pdf: ## the same as one file to print; needs Chromium or Chrome
	@$(RUN) -m tools.render.pdf

execute: ## the 100-epoch run and all chapters in full; continues where it was stopped
	@$(RUN) -m tools.chapters.execute

sweep: ## all runs that a file asks for, several at once (FILE=sweeps/small.toml, see book/many_runs.md); continues where it was stopped
	@$(RUN) -m tools.chapters.sweep

test: ## library, chapters on small data, strict book
	@$(RUN_DEV) -m tools.maintain.verify

check: ## make test, and a browser, hosted images, and the real data where it is at hand
	@$(RUN_DEV) -m tools.maintain.verify --all $(addprefix --without=,$(WITHOUT))

mutate: ## maintainers: break the library in many places, one at a time: do the tests notice? (outside of make test)
	@$(RUN_DEV) tests/mutate.py

bench: ## how fast a training step is, beside the article's way of writing it (TORCH= JAX= RECORD= CLOCK=, see CONTRIBUTING.md)
	@$(RUN_DEV) tests/benchmarks/bench.py

kaggle: ## notebooks for Kaggle and Colab in _build/kaggle/ (OWNER= INPUTS= PUSH=, see book/kaggle.md)
	@$(RUN) -m tools.hosting.kaggle

lint: ## ruff, over code and notebooks; mypy, over the public names
	@$(RUN_DEV) -m tools.maintain.lint

publish: ## maintainers: write the chapters of the last `make execute` back to notebooks/
	@$(RUN) -m tools.chapters.publish

address: ## maintainers: write the repository's address into README and chapters
	@$(RUN) -m tools.hosting.address

lock: ## maintainers: resolve requirements.in and requirements-dev.in again, with hashes
	@$(RUN_DEV) -m tools.maintain.lock

clean: ## remove built books and caches (keeps runs/, .venv/ and your chapters in _build/lab/)
	@if [ -d _build ]; then find _build -mindepth 1 -maxdepth 1 -not -name lab -exec rm -rf {} +; fi
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
