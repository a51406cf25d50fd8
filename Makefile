# The two commands of the README: `make demo` and `make test`. Both set up .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

demo: .venv/run
	@echo "The judge in this demonstration is simulated: no model reads the replies."
	$(BIN)/judge grade examples/support_replies.jsonl --rubric support-reply --judge examples/simulated.yaml
	@echo
	@echo "One grade in full, the lowest:"
	$(BIN)/judge runs show latest --lowest 1
	@echo
	@echo "To ask a real model: export OPENAI_API_KEY=..., then"
	@echo "  $(BIN)/judge grade examples/support_replies.jsonl --rubric support-reply --judge openai/gpt-6-luna --dry-run"
	@echo "and the same without --dry-run when the messages and the cost look right."

test: .venv/test lint
	$(BIN)/pytest

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test
	$(BIN)/python -m benchmarks.spine

clean:
	rm -rf .venv .judge .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# uv where it is installed, else venv and pip.
.venv/run .venv/test: .venv/%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@if command -v uv >/dev/null; then \
		uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
		uv pip install --quiet --python $(BIN)/python -e ".$(if $(filter test,$*),[test])"; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".$(if $(filter test,$*),[test])"; \
	fi
	@touch $@
