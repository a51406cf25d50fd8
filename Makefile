# The two commands of the README: `make demo` and `make test`. Both set up .venv first.

PYTHON ?= python3
BIN := .venv/bin
TORCH ?= torch==2.13.0

.PHONY: demo test test-litellm test-torch lint bench clean

demo: .venv/run
	@echo "The judge in this demonstration is simulated: no model reads the replies."
	$(BIN)/judge grade examples/support_replies.jsonl --rubric support-reply --judge examples/simulated.yaml
	@echo
	@echo "One grade in full, the lowest:"
	$(BIN)/judge runs show latest --lowest 1
	@echo
	@echo "How far three judges can be trusted, measured against people:"
	@echo
	$(BIN)/judge calibrations demo
	@echo
	@echo "To ask a real model: export OPENAI_API_KEY=..., then"
	@echo "  $(BIN)/judge grade examples/support_replies.jsonl --rubric support-reply --judge openai/gpt-6-luna --dry-run"
	@echo "and the same without --dry-run when the messages and the cost look right."

test: .venv/test lint
	$(BIN)/pytest -n auto --dist worksteal

# Beside litellm, and with the SDKs of the generation before: the adapters are written to what both share.
test-litellm: .venv-litellm/test
	.venv-litellm/bin/pytest -n auto --dist worksteal $(ONLY) $(patsubst %,tests/judge/test_%.py,litellm outcomes guard transport openai responses anthropic) \
		tests/e2e/test_canary.py

# torch by pip, since its CPU build is not always on an index that uv sees.
test-torch: .venv/test
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-compile '$(TORCH)'
	$(BIN)/pytest tests/judge/calibration/test_network.py tests/judge/calibration/test_network_training.py \
		tests/judge/calibration/test_panel.py

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test
	$(BIN)/python -m benchmarks.spine

clean:
	rm -rf .venv .venv-litellm .judge .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

comma := ,

# An environment with extras and constraints: by uv where it is installed, else by venv and pip.
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@if command -v uv >/dev/null; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(1) && \
		uv pip install --quiet --python $(1)/bin/python -e ".$(2)" $(3); \
	else \
		$(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".$(2)" $(3); \
	fi
	@touch $@
endef

.venv/run .venv/test: .venv/%: pyproject.toml
	$(call install,.venv,$(if $(filter test,$*),[test]))

.venv-litellm/test: pyproject.toml
	$(call install,.venv-litellm,[test$(comma)litellm],'openai<3' 'anthropic<2')
