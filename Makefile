# make setup    install what is missing: system packages, virtual environment
# make demo     three machines in a lab host, in a minute
# make test     everything, the live tests included
# make slow     live tests that take too long for every day, and properties on other examples
.PHONY: setup demo fmt check test-unit test slow docs bench clean

BIN := .venv/bin

setup:
	@scripts/setup

demo: setup
	@scripts/demo

fmt:
	$(BIN)/ruff check --fix -q .
	$(BIN)/ruff format -q .

check:
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	@rm -f .lint-imports.log

test-unit:
	$(BIN)/pytest -n 2 -m "not live"

test: setup check test-unit
	@scripts/as-root $(BIN)/pytest -m live -n 2 --dist loadfile --no-loadscope-reorder --durations 30

slow: setup
	@TINYCLOUD_SLOW=1 $(BIN)/pytest -q -n 2 -m "not live" tests/unit
	@scripts/as-root env TINYCLOUD_SLOW=1 $(BIN)/pytest -m live tests/live/test_bandwidth.py tests/live/test_lvm.py tests/live/test_migrate.py tests/live/test_open_vswitch.py

docs: setup
	$(BIN)/python docs/generate.py

bench: setup
	@scripts/as-root $(BIN)/python -m bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
