# Daily life. On a fresh Debian or Ubuntu machine each target first installs what it needs (as root).
# The image and the packages run Debian's Python, which is built with profiles; others on the path may be slower.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && echo /usr/bin/python3 || echo python3)
export PYTHON
PYTEST := .venv/bin/python -m pytest
# Some tests wait while others compute, so there is one worker more than processors. Each begins with its share of the
# tests, in order, and then takes from what others have left.
WORKERS ?= $(shell expr $$(nproc) + 1)
SIDE_BY_SIDE := -n $(WORKERS) --dist worksteal
# Where campaigns are: each worker loads all files that it is given, which takes longer than many a campaign.
CAMPAIGNS = -m faults tests/faults $(filter-out tests/faults/%,$(shell grep -rl 'mark\.faults' tests --include='test_*.py'))

.PHONY: help help-all chart-tools setup packages demo-packages node-packages node release-node wheels deb chart release-check demo check test test-arm64 test-faults test-runtimes test-kubernetes test-clean campaigns bench bench-quick bench-growth clean

help:
	@echo "make setup          packages and .venv"
	@echo "make demo           three containers, a killed service, and what survives it"
	@echo "make check          format, lint, types, direction of the imports"
	@echo "make test           all tests but the campaigns, side by side"
	@echo "make test-faults    the campaigns in short: kills, faults, failovers, updates, hostile input"
	@echo "make bench          all benchmarks, a quarter of an hour; writes docs/benchmarks.md"
	@echo "make help-all       everything else"

help-all: help
	@echo
	@echo "make campaigns      each test of make test-faults ten times, an hour; CAMPAIGN=100 for a hundred"
	@echo "make test-arm64     the plugin's tests on its executable for arm64, under qemu"
	@echo "make test-runtimes  newer runtimes out of Debian sid: containerd 2.1, CNI plugins 1.9"
	@echo "make test-clean     make demo and make test in an empty Debian 12 and an empty Debian 13; an hour"
	@echo "make test-kubernetes  the chart on a real Kubernetes: docs/kubernetes.md"
	@echo "make bench-quick    the benchmarks in a minute, for a look"
	@echo "make bench-growth   ten million addresses; two or three hours, and 30 GB of disk"
	@echo "make node           dist/node/ARCH/ipamd-ipam, the plugins as one static file"
	@echo "make release-node   it for amd64 and arm64, with checksums, licence texts and a bill of materials"
	@echo "make wheels         dist/wheels: the source distribution, and wheels of it with and without the static file"
	@echo "make deb            dist/deb/*.deb, packages for this machine's Debian"
	@echo "make chart          dist/charts/ipamd-VERSION.tgz"
	@echo "make release-check  all that a release is made of, each installed in something empty; ten minutes"
	@echo "make clean          remove .venv and all that was built"

setup: packages node .venv/installed chart-tools

packages:
	@scripts/packages demo tests

demo-packages:
	@scripts/packages demo

.venv/installed: pyproject.toml constraints.txt cni_plugin/__init__.py native/wheel.py scripts/venv | demo-packages
	@scripts/venv

# helm, and the schemas of Kubernetes
chart-tools: .venv/installed
	@scripts/charts

node-packages:
	@scripts/packages node

node: node-packages
	@native/build

release-node: node
	@scripts/packages arm64
	@ARCH=arm64 native/build
	@native/describe build/node amd64
	@native/describe build/node arm64

wheels: .venv/installed release-node
	@scripts/wheels

deb: .venv/installed node
	@deploy/debian/build

chart: chart-tools
	@build/charts/helm3/helm package charts/ipamd --destination dist/charts

release-check: setup
	rm -rf dist
	@$(MAKE) wheels deb chart
	$(PYTEST) tests/release

demo: .venv/installed
	@.venv/bin/python -m scripts.demo

check: .venv/installed
	@scripts/check

test: setup
	$(PYTEST) $(SIDE_BY_SIDE) -m "not faults and not runtimes and not kubernetes and not release"

test-faults: setup
	$(PYTEST) $(SIDE_BY_SIDE) $(CAMPAIGNS)

test-arm64: setup
	@scripts/packages arm64
	@ARCH=arm64 native/build
	NODE_ARCH=arm64 $(PYTEST) $(SIDE_BY_SIDE) tests/cni -m "not faults and not runtimes"

test-runtimes: setup
	$(PYTEST) -m runtimes

campaigns: setup
	CAMPAIGN=$${CAMPAIGN:-10} $(PYTEST) $(SIDE_BY_SIDE) $(CAMPAIGNS)

test-kubernetes: setup
	@scripts/packages kubernetes
	@scripts/kubernetes
	@scripts/image
	$(PYTEST) -m kubernetes

test-clean: .venv/installed
	@scripts/packages clean
	@for suite in bookworm trixie; do \
		.venv/bin/python -m scripts.clean $$suite make demo && \
		.venv/bin/python -m scripts.clean $$suite --again make test || exit 1; \
	done

bench: setup
	@scripts/packages peers
	@.venv/bin/python -m benchmarks

bench-quick: setup
	@scripts/packages peers
	@.venv/bin/python -m benchmarks --scale quick

bench-growth: setup
	@.venv/bin/python -m benchmarks --scale growth

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
