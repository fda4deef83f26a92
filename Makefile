# The commands of this project. Each sets up what it needs first, once.

PYTHON ?= python3
VENV ?= .venv
# Options for pytest, such as make test ARGS="-k purge", or of another command: make reconcile ARGS=--names
ARGS ?=
# The DICOM service for make contract, make tutorial and make purge-preview, with its version; without it, the stand-in.
URL ?=
# The rules for make purge-preview
POLICY ?=
# What the bearer of a token may do: make token ROLE=reader
ROLE ?= owner
RUN = $(VENV)/bin/python
# Tests start Python some hundred times: what it has compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make demo    watch the app do its three jobs on real files, in about a minute"
	@echo "make tutorial   a Python for docs/tutorial.md, beside a DICOM service that runs meanwhile; URL=... names yours"
	@echo "make up      run the app, storage and the DICOM service on this machine; Ctrl-C ends them"
	@echo "make down    end what 'make up' runs"
	@echo "make token   print a bearer token for the DICOM service of 'make up'; ROLE=reader, ROLE=ingest or ROLE=retention for one that may do less"
	@echo "make reconcile   does it all add up? For what your settings lead to, or 'make up'; ARGS=--names names what does not"
	@echo "make purge-preview POLICY=path/to/policy.toml   what would retention delete? At 'make up', or URL=...; deletes nothing"
	@echo "make soak    ten thousand files among failures and kills, each accounted for; some 20 minutes; ARGS=--count=1000"
	@echo "make test    run the tests; ARGS=... goes to pytest"
	@echo "make test-all   run also those with other people's clients, servers and viewers, and a soak; some 40 minutes"
	@echo "make bench   measure everything beside its rivals, on a quiet machine; 20 minutes; make bench-quick: three, and rough"
	@echo "make bench-soak   everything at once, and does the app grow? An hour; ARGS='--minutes 10'"
	@echo "make bench-plots  draw what was measured last, and write its figures into docs/performance.md and sizing.md"
	@echo "make coverage   run every test, and print how much of each folder they reach; ARGS='--output table.json'"
	@echo "make mutants ARGS=module   would a test notice? Changes one thing at a time; needs what make coverage wrote"
	@echo "make contract URL=https://.../v2   hold a DICOM service of yours against what its stand-in does"
	@echo "make check   lint, format, types, and whether infra/ and the lock files are in step"
	@echo "make docs    write the reference pages in docs/reference from the code"
	@echo "make lock    write the lock files anew from pyproject.toml"
	@echo "make audit   are vulnerabilities known of what is locked? Asks osv.dev; ARGS='--url ...' another one"
	@echo "PYTHON=python3.13 VENV=.venv-3.13 runs any of them on another Python."

demo: set-up
	@exec $(RUN) -m local.demo

tutorial: set-up
	@exec $(RUN) -m local.tutorial $(if $(URL),--url '$(URL)')

# exec, so that make's signals reach Python itself; --parent, for those that make keeps to itself.
up: set-up
	@exec $(RUN) -m local.up --parent $$PPID

down: set-up
	@exec $(RUN) -m local.down

token: set-up
	@exec $(RUN) -m local.print_token --role $(ROLE)

reconcile: set-up
	@exec $(RUN) -m local.reconcile $(ARGS)

purge-preview: set-up
	@exec $(RUN) -m local.purge_preview --policy '$(POLICY)' $(if $(URL),--url '$(URL)')

soak: set-up
	@exec $(RUN) -m local.soak $(ARGS)

# A process for each processor, up to six, and a file's tests in one of them, for they share what they start. The slowest
# folders come first by their names. ARGS=-n0 runs all in one process, and so does ARGS=--pdb.
test: set-up
	@exec $(RUN) -m pytest -n auto --maxprocesses 6 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: set-up
	$(RUN) -m pytest -n auto --maxprocesses 6 --dist loadfile --no-loadscope-reorder $(ARGS) tests
	$(RUN) -m local.soak --count=1000

bench: set-up
	@exec $(RUN) -m bench $(ARGS)

bench-quick: set-up
	@exec $(RUN) -m bench --quick $(ARGS)

bench-soak: set-up
	@exec $(RUN) -m bench.soak $(ARGS)

bench-plots: set-up
	@exec $(RUN) -m bench.publishing

coverage: set-up
	@exec $(RUN) -m tests.mutants.covering $(ARGS)

mutants: set-up
	@exec $(RUN) -m tests.mutants $(ARGS)

contract: set-up
	@exec env CONTRACT_URL='$(URL)' $(RUN) -m pytest -q --tb=no -rN tests/contract $(ARGS)

docs: set-up
	@exec $(RUN) -m tests.reference

check: set-up
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy .
	$(RUN) -m pytest -q tests/unit/test_import_direction.py tests/unit/test_project_files.py tests/unit/test_settings.py tests/unit/test_events.py tests/infra
	$(RUN) -m local.lock --check

lock: set-up
	$(RUN) -m local.lock

audit: set-up
	@exec $(RUN) -m local.audit $(ARGS)

set-up:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  found=$$($(PYTHON) -V 2>&1) || found="not there"; \
	  echo "This needs Python 3.11 or newer, and $(PYTHON) is $${found#Python }: name another with PYTHON=," \
	    "such as make demo PYTHON=python3.13" >&2; exit 1; }
	@exec $(PYTHON) -I local/bootstrap.py --venv $(VENV)

.PHONY: help demo tutorial up down token reconcile purge-preview soak test test-all bench bench-quick bench-soak bench-plots coverage mutants contract docs check lock audit set-up
.NOTPARALLEL:
