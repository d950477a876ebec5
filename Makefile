# Two commands matter: `make run` and `make test`. Both set up everything they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PORT   ?= 8112
SEED   ?= 1
SEEDS  ?= 1
export DATABASE_URL

.PHONY: run test check format web browser-test screenshots bench sim chaos overload audit clean

run: $(STAMP) web
	$(BIN)/siaga run --port $(PORT)

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

web: $(STAMP)
	$(BIN)/python -m dashboards.build_web

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m dashboards.build_web --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser-test: $(STAMP) web
	$(BIN)/python -m pytest -q --browser -m browser tests/browser

screenshots: $(STAMP) web
	$(BIN)/python -m tests.browser.screenshots

bench: $(STAMP)
	$(BIN)/siaga bench intake
	$(BIN)/siaga bench avl
	$(BIN)/siaga bench engine
	$(BIN)/siaga bench geo
	$(BIN)/siaga bench sla

sim: $(STAMP)
	$(BIN)/python -m tests.simulation --seed $(SEED) --seeds $(SEEDS) --processes 2

chaos: $(STAMP)
	$(BIN)/siaga chaos

overload: $(STAMP)
	$(BIN)/siaga overload

# Known vulnerabilities in what we depend on, Python and front end. Asks the package indexes; what could not be asked is named and
# fails it (status 2; 1 = something is known). The tool lives in a folder of its own: it is no dependency of ours.
audit: $(STAMP)
	test -x $(VENV)/audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install --quiet pip-audit; }
	$(BIN)/python -m siaga.advisories $(VENV)/audit/bin/pip-audit

clean:
	rm -rf $(VENV) build var *.egg-info dashboards/static/app dashboards/web/node_modules
