PYTHON ?= $(shell command -v python3.11 || command -v python3)
ARGS ?=
V := .venv/bin
# One thread a process: several of them share two cores.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test soak replay-all bench fuzz evaluate pictures check format openapi train constraints

demo:
	@$(PYTHON) tools/setup.py demo
	@exec $(V)/python tools/demo.py $(ARGS)

test:
	@$(PYTHON) tools/setup.py test
	@$(V)/python tools/timed.py "tests" $(V)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m "not soak" $(ARGS)

soak:
	@$(PYTHON) tools/setup.py test
	@ZENMOON_JOURNAL_EXAMPLES=3000 $(V)/python tools/timed.py "journal, 3000 histories" $(V)/python -m pytest -q edge_sdk/tests/test_journal_machine.py
	@$(V)/python tools/timed.py "soak" $(V)/python -m pytest -m "soak" $(ARGS)

replay-all:
	@$(PYTHON) tools/setup.py test
	@exec $(V)/python tools/replay_all.py $(ARGS)

bench:
	@$(PYTHON) tools/setup.py test
	@$(V)/python tools/bench.py $(ARGS)

fuzz:
	@$(PYTHON) tools/setup.py test --no-toolchain
	@exec $(V)/python tools/fuzz.py $(ARGS)

evaluate:
	@$(PYTHON) tools/setup.py test --no-toolchain
	@$(V)/python tools/evaluation_page.py $(ARGS)

pictures:
	@$(PYTHON) tools/setup.py test
	@$(V)/python tools/pictures.py $(ARGS)

check:
	@$(PYTHON) tools/setup.py test --no-toolchain
	$(V)/ruff check .
	$(V)/ruff format --check .
	$(V)/mypy
	$(V)/lint-imports
	$(V)/zenmoon-cloud openapi | diff -u docs/openapi.json - 

format:
	$(V)/ruff check --fix .
	$(V)/ruff format .

openapi:
	$(V)/zenmoon-cloud openapi > docs/openapi.json

train:
	@$(PYTHON) tools/setup.py train --no-toolchain
	$(V)/python -m zenmoon_models.tinylstm train --shared ../shared/data $(ARGS)

constraints:
	@$(V)/python tools/constraints.py
