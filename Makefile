# Every verb sets up what it needs by itself, in .venv/. `make` alone lists the verbs.
.DEFAULT_GOAL := help
.PHONY: help quick execute book pdf test check bench kaggle lint publish address lock clean
export PYTHON DATASET DATA EPOCHS SEED SOLUTIONS OWNER INPUTS PUSH TORCH RECORD
RUN := sh tools/in_env.sh

help: ## this list
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{printf "%-16s %s\n", $$1, $$2}'
	@echo
	@echo "  PYTHON=3.11 (a version or a path)   DATASET=cifar100|cifar10|mnist|digits   DATA=<folder or archive>"
	@echo "  EPOCHS=<whole number>               SEED=<whole number>   SOLUTIONS=no (make book, make pdf)"

quick: ## every chapter on small embedded data, then the rendered book; minutes, no network
	@$(RUN) tools/quick.py

execute: ## the 100-epoch run and all chapters in full; goes on where it was stopped
	@$(RUN) tools/execute.py

book: ## render what is committed, strictly
	@$(RUN) tools/book.py

pdf: ## the same as one file to print; needs Chromium or Chrome
	@$(RUN) tools/pdf.py

test: ## library, chapters on small data, strict book
	@$(RUN) tools/verify.py

check: ## make test, and a browser, hosted images, and the real data where it is at hand
	@$(RUN) tools/verify.py --all

bench: ## how fast a training step is, beside the article's way of writing it (TORCH= RECORD=, see CONTRIBUTING.md)
	@$(RUN) tests/benchmarks/bench.py

kaggle: ## notebooks for Kaggle and Colab in _build/kaggle/ (OWNER= INPUTS= PUSH=, see book/kaggle.md)
	@$(RUN) tools/kaggle.py

lint: ## ruff, over code and notebooks
	@$(RUN) tools/lint.py

publish: ## maintainers: write the chapters of the last `make execute` back to notebooks/
	@$(RUN) tools/publish.py

address: ## maintainers: write the repository's address into README and chapters
	@$(RUN) tools/address.py

lock: ## maintainers: resolve requirements.in anew and write requirements.txt
	@$(RUN) tools/lock.py

clean: ## remove built books and caches (keeps runs/ and .venv/)
	@rm -rf _build .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
