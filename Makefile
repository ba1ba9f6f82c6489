# Every target does the set-up it needs, also on a bare machine, and nothing twice. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup check format test compat bench pictures simulate load centre scale chaos demo e2e cluster cluster-down images lock dashboard

# LGS_PYTHON=3.13: all on that Python, in an environment beside the usual one.
export LGS_VENV := .venv$(if $(LGS_PYTHON),-$(LGS_PYTHON))
BIN := $(LGS_VENV)/bin
KUBERNETES_HOME := $(or $(LGS_KUBERNETES_HOME),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lgs-cluster)
PYTEST_ARGS ?=
# One more than there are cores, six at most: a third of what the tests take is waiting.
TEST_WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 6 ? cores + 1 : 6)))
CHAOS_ARGS ?=
BENCH_ARGS ?=
LOAD_ARGS ?=
CENTRE_ARGS ?=
SCALE_ARGS ?=
COMPAT_ARGS ?=
COMPAT_SOURCES ?=

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(LGS_VENV)/.ready ## .venv with the pinned packages and the three distributions (LGS_PYTHON=3.13: .venv-3.13)
$(LGS_VENV)/.ready: requirements.lock crds/pyproject.toml operator/pyproject.toml runtime/pyproject.toml
	@tools/setup/venv.sh

check: setup ## lint, format, types, import rules, generated CRD, rules and dashboard
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m lgs_crds.generate --check
	$(BIN)/python -m lgs_operator.monitoring.generate --check

format: setup ## format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## unit, contract (real PostgreSQL and Redis), control plane (real API server)
	@tools/setup/system.sh services alerts
	@tools/kubernetes/build.sh apiserver
	@tools/setup/s3.sh
	@tools/setup/collector.sh
	@tools/setup/prometheus.sh
	@tools/setup/definitions.sh
	node=$$(tools/setup/node.sh) && meaning=$$(tools/setup/meaning.sh) && axe=$$(tools/setup/browser.sh) && LGS_TEST_AXE=$$axe LGS_TEST_JAVASCRIPT=required LGS_TEST_MEANING=$$meaning \
	  KUBEBUILDER_ASSETS=$${KUBEBUILDER_ASSETS:-$(KUBERNETES_HOME)/bin} PATH="$(KUBERNETES_HOME)/bin:$${node:+$$node:}$$PATH" \
	  $(BIN)/pytest --ignore=tests/e2e --numprocesses=$(TEST_WORKERS) --dist=loadfile $(PYTEST_ARGS)

compat: setup ## public applications, served unchanged, against the development server (COMPAT_SOURCES=folder of checkouts, COMPAT_ARGS="react-agent")
	PYTHONPATH=.:tests $(BIN)/python -m compat $(if $(COMPAT_SOURCES),--sources $(COMPAT_SOURCES)) $(COMPAT_ARGS)

chaos: setup ## 10,000 runs in half an hour under random faults, and their account (CHAOS_ARGS="--runs 500 --minutes 3")
	@tools/setup/system.sh services
	PYTHONPATH=tests $(BIN)/python -m chaos $(CHAOS_ARGS)

bench: setup ## the checkpointers, the server over HTTP, a start (BENCH_ARGS="--docs" writes docs/performance.md; "http --quick")
	@tools/setup/system.sh services
	PYTHONPATH=.:tests $(BIN)/python -m bench $(BENCH_ARGS)

pictures: setup ## pictures of the page for docs/dashboard.md, of a service that takes a spike
	axe=$$(tools/setup/browser.sh) && LGS_PICTURES=$(CURDIR)/docs LGS_TEST_AXE=$$axe LGS_TEST_JAVASCRIPT=required \
	  $(BIN)/pytest tests/dashboard/test_first_minute.py

simulate: setup ## the scaling law beside others on every built-in load: tables, fronts and pictures into docs/autoscaling.md
	PYTHONPATH=. $(BIN)/python -m bench.autoscaling

load: setup ## ten thousand conversations at once on this machine, and a panel (LOAD_ARGS="--sessions 500 --minutes 2")
	@tools/setup/system.sh services
	PYTHONPATH=.:tests $(BIN)/python -m bench.load $(LOAD_ARGS)

centre: setup ## the customer-service centre under load and faults, and its panel (CENTRE_ARGS="--customers 10000"; "capacity --docs"; "judged --docs")
	@tools/setup/system.sh services
	PYTHONPATH=.:tests $(BIN)/python -m bench.centre $(CENTRE_ARGS)

scale: setup ## one operator with 1,000 services and 10,000 pods on a bare API server, as a table (SCALE_ARGS="--services 100")
	@tools/kubernetes/build.sh apiserver
	KUBEBUILDER_ASSETS=$${KUBEBUILDER_ASSETS:-$(KUBERNETES_HOME)/bin} PYTHONPATH=.:tests $(BIN)/python -m bench.scale $(SCALE_ARGS)

demo: setup ## the whole path on this machine, embedded: spike, scale-out, rolling restart, scale-in
	$(BIN)/python -m examples.demo

e2e: setup ## the story on a real cluster (KEEP=1 leaves the cluster)
	@tools/e2e/run.sh $(PYTEST_ARGS)

cluster: ## a cluster for tests: LGS_TEST_KUBECONFIG, else kind with two workers
	@tools/cluster/up.sh

cluster-down: ## delete that cluster
	@tools/cluster/down.sh

images: ## build the images of the runtime and the operator
	@tools/images/build.sh

dashboard: ## copy the libraries of the page anew, by tools/dashboard/package-lock.json (needs npm)
	@tools/dashboard/vendor.sh

lock: ## pin the dependencies anew
	@tools/setup/lock.sh
