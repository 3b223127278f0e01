# The commands of this checkout; `make` lists them. Needs GNU make, a POSIX sh and Python 3.11 or newer.
# Every path here is relative, so that the checkout may lie anywhere, spaces included.

PYTHON = python3
VENV = .venv/bin/python
SHELL = /bin/sh

.DEFAULT_GOAL := help
.PHONY: help run serve cron demo example screenshots test torture lint types bench bench-decisions bench-policies tables release-notes clean runtime development

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

run: runtime ## the whole pipeline with a summary; CONFIG=path/config.json: of another project
	@$(VENV) fullprocess.py --now --serve --summary $(if $(CONFIG),--config '$(quoted_config)')

serve: runtime ## API and pages on config.json's host and port (8000); CONFIG= as above
	@$(if $(CONFIG),export RISK_CONFIG='$(quoted_config)';) exec $(VENV) -m gunicorn wsgi:app

cron: ## the crontab line of this checkout, CONFIG= as above; INSTALL=1 adds it to your crontab
	@$(if $(INSTALL),$(add_to_crontab),$(render_cronjob) && \
	echo 'Add the line with crontab -e, or type: make cron INSTALL=1' >&2)

demo: runtime ## on a copy: a company's first months, export by export
	@$(VENV) examples/demo.py

example: development ## real customers over a year: what each policy would have served them
	@$(VENV) examples/replay_customers.py

test: lint types ## ruff, mypy and the tests; ARGS="-k word" goes to pytest
	@$(VENV) -m pytest -n auto --dist loadfile -m 'not torture' $(ARGS)

torture: development ## the sweeps and simulations that make test leaves out: kills, full disks, noise
	@$(VENV) -m pytest -n auto --dist loadfile -m torture $(ARGS)

lint: development ## ruff alone: what it finds wrong, and what is not formatted as it would
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check -q . || { echo 'not formatted: .venv/bin/python -m ruff format .'; exit 1; }

types: development ## mypy alone, on risk/ and the scripts
	@$(VENV) -m mypy risk $(filter-out gunicorn.conf.py,$(wildcard *.py))

screenshots: development ## pictures of the pages in docs/pages, light and dark
	@$(VENV) examples/screenshots.py

bench: runtime ## every benchmark in benchmarks/
	@found=; for script in benchmarks/*.py; do \
	[ -e "$$script" ] || continue; found=yes; echo "== $$script"; $(VENV) "$$script" || exit; done; \
	[ "$$found" ] || echo 'there is no benchmark in benchmarks/ yet'

bench-decisions: runtime ## the decision's benchmark in full (an hour); REAL=folder adds the real streams
	@$(VENV) benchmarks/decisions.py --full $(if $(REAL),--real $(REAL))

bench-policies: runtime ## the same beside the policies that everybody knows, in full (20 minutes)
	@$(VENV) benchmarks/policies.py --full

tables: runtime ## docs/configuration.md's tables anew, from the declarations in risk/config.py
	@$(VENV) docs/tables.py

release-notes: ## what CHANGELOG.md says of the newest version
	@awk '/^## / { if (seen++) exit } seen' CHANGELOG.md

clean: ## remove .venv, caches and logs; data, models, releases and state stay
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis logs practicemodels/logs
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime:
	@$(call install,requirements.txt,runtime)

development: runtime
	@$(call install,requirements-dev.txt,development)

# The stamp is a copy of the pins that were installed: times of files tell nothing after git checkout.
# An environment without a working pip (interrupted, or its Python was upgraded away) is made anew.
install = pins="$$(cat requirements.txt $(1))"; stamp=.venv/installed-$(2); \
	if [ ! -f $$stamp ] || [ "$$pins" != "$$(cat $$stamp)" ] || ! $(VENV) -c ''; then \
		$(VENV) -m pip --version >/dev/null 2>&1 || { $(make_venv); } || exit; \
		echo "installing $(1) into .venv (about a minute the first time)"; \
		$(VENV) -m pip install -qq --disable-pip-version-check -r $(1) && \
		printf '%s\n' "$$pins" >$$stamp; \
	fi

make_venv = $(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit( \
	"error: $(PYTHON) is Python %d.%d; this needs 3.11 or newer: make run PYTHON=python3.12" % v)' && \
	$(PYTHON) -m venv --clear .venv

# A path with an apostrophe, between apostrophes in a shell.
quoted_config = $(subst ','\'',$(CONFIG))

# Quoted for the shell; in a crontab a bare % would end the command.
render_cronjob = CONFIG='$(quoted_config)' $(PYTHON) -c 'import os, shlex; \
	config = os.environ["CONFIG"]; \
	words = [os.path.join(os.getcwd(), "fullprocess.sh")]; \
	words += ["--config", os.path.abspath(config)] if config else []; \
	job = shlex.join(words).replace("%", "\\%"); \
	text = open("cronjob.txt").read(); \
	print(text.replace("/path/to/dynamic-risk/fullprocess.sh", job), end="")'

# `crontab -` replaces the whole table, so nothing is written unless the present one could be read.
add_to_crontab = command -v crontab >/dev/null || { \
		echo 'error: there is no crontab command here; install cron, or see docs/operations.md' >&2; \
		exit 1; \
	}; \
	line=$$($(render_cronjob) | grep -v '^\#') || exit; \
	job=$${line\#'*/10 * * * *'}; \
	table=$$(crontab -l 2>/dev/null) || case $$(LC_ALL=C crontab -l 2>&1) in \
		*'no crontab for'*) table= ;; \
		*) crontab -l; exit 1 ;; \
	esac; \
	if found=$$(printf '%s\n' "$$table" | grep -v '^ *\#' | grep -F -- "$$job"); then \
		echo "your crontab has it already: $$found"; \
	else \
		{ [ -z "$$table" ] || printf '%s\n' "$$table"; printf '%s\n' "$$line"; } | crontab - && \
		echo "added to your crontab: $$line"; \
	fi
