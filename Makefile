# A newcomer needs two lines, `make serve` and `make test`; everything below is what those two stand on.
PYTHON ?= python3
EXTRAS ?=
WORKERS ?= auto

KNOWN_EXTRAS :=
UNKNOWN_EXTRAS := $(filter-out $(KNOWN_EXTRAS),$(EXTRAS))
$(if $(UNKNOWN_EXTRAS),$(error EXTRAS: "$(UNKNOWN_EXTRAS)" is not known. Known extras: $(or $(KNOWN_EXTRAS),none yet)))

BIN := .venv/bin
INSTALL := -m pip install --quiet --require-hashes
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links $(UPGRADE)

# A stamp is named by the hash of what it installed: the same files install nothing, changed files install again.
stamp = $(1)-$(shell cat $(2) | sha256sum | cut -c 1-16)
RUNTIME := $(call stamp,.venv/.runtime,pyproject.toml requirements/runtime.txt requirements/build.txt)
TEST := $(call stamp,.venv/.test,requirements/test.txt)
CHECK := $(call stamp,.venv/.check,requirements/check.txt)
CLIENTS := $(call stamp,.venv-clients-2023/.installed,requirements/clients-2023.txt) \
	$(call stamp,.venv-clients-latest/.installed,requirements/clients-latest.txt)
FRAMEWORKS := $(call stamp,.venv-clients-frameworks/.installed,requirements/clients-frameworks.txt)
# Only where there is an npm: the tests with Node's client skip elsewhere, and say so.
FUZZ := $(call stamp,.venv-fuzz/.installed,requirements/fuzz.txt)
NODE := $(if $(shell command -v npm),$(call stamp,.venv-clients-node/.installed,tests/clients/node/package-lock.json))
VOCABULARY := src/longscroll/data/qwen.tiktoken

.NOTPARALLEL:
.PHONY: help setup serve test test-slow check format conformance lock clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(RUNTIME) $(VOCABULARY)  ## make the virtual environment .venv and install the service into it

serve: setup  ## run the service; ARGS="--port 7301" passes flags
	@$(BIN)/longscroll serve $(ARGS)

test: setup $(TEST) $(CLIENTS) $(NODE)  ## run the tests, except the slow ones; ARGS="-k words" passes flags
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: setup $(TEST) $(CLIENTS) $(FRAMEWORKS) $(FUZZ) $(NODE)  ## run the slow tests
	$(PYTEST) -m slow $(ARGS)

check: setup $(TEST) $(CHECK)  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup $(CHECK)  ## bring the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

conformance: setup $(TEST) $(CLIENTS) $(FRAMEWORKS) $(NODE)  ## run the tests of the wire contract; docs/ says what they show
	$(PYTEST) -m item --write-results

lock: setup $(CHECK)  ## write requirements/ anew from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --group build -c requirements/runtime.txt -o requirements/build.txt
	$(LOCK) --group test -c requirements/runtime.txt -c requirements/build.txt -o requirements/test.txt
	$(LOCK) --group check -c requirements/runtime.txt -c requirements/test.txt -o requirements/check.txt
	$(LOCK) --group clients-2023 -o requirements/clients-2023.txt
	$(LOCK) --group clients-latest -o requirements/clients-latest.txt
	$(LOCK) --group clients-frameworks -o requirements/clients-frameworks.txt
	$(LOCK) --group fuzz -o requirements/fuzz.txt
	cd tests/clients/node && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	$(LOCK) --group vocabulary --no-deps -o requirements/vocabulary.txt

clean:  ## remove the virtual environments and the vocabulary
	rm -rf .venv .venv-clients-* .venv-fuzz $(VOCABULARY)

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Longscroll needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

$(RUNTIME): | $(BIN)/pip
	$(BIN)/python $(INSTALL) -r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST) $(CHECK): | $(RUNTIME)
	$(BIN)/python $(INSTALL) -r requirements/$(patsubst .venv/.%,%,$(firstword $(subst -, ,$@))).txt
	@touch $@

$(CLIENTS) $(FRAMEWORKS) $(FUZZ): | $(RUNTIME)
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(INSTALL) --no-compile -r requirements/$(@D:.venv-%=%).txt
	@touch $@

$(NODE):
	rm -rf $(@D)
	mkdir $(@D)
	cp $(addprefix tests/clients/node/,package.json package-lock.json) $(@D)
	cd $(@D) && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# Without the vocabulary token counts are estimates, so its absence is never silent: the step fails.
$(VOCABULARY): requirements/vocabulary.txt | $(RUNTIME)
	$(BIN)/python tools/vocabulary.py $< $@
