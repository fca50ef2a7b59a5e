# Everything a newcomer or a developer types. Each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: clients run challenge chaos chaos-cluster docs fuzz growth matrix bench bench-broker bench-cluster sim sim-mutants setup test lint types imports unit format lock clean

run: setup  ## a broker on 127.0.0.1:9092, with its data in ./tidings-data
	$(BIN)/tidings serve $(OPTIONS)

# Half a minute that is worth watching. Later options win: make challenge OPTIONS="--design gossip".
CHALLENGE := --node-count 5 --concurrency 2n --rate 100 --time-limit 20 --latency 10 \
  --nemesis partition --nemesis-interval 5

challenge: setup  ## the kafka workload on real node processes
	$(BIN)/tidings challenge $(CHALLENGE) $(OPTIONS)

chaos: setup  ## real clients on a broker that is killed again and again; some minutes
	$(BIN)/python tests/chaos/chaos_run.py $(OPTIONS)

MINUTES := 60

chaos-cluster: setup  ## real clients on three brokers, with everything below them, under faults; an hour
	tests/servers/install_from_debian
	PYTHONPATH=tests/servers $(BIN)/python tests/chaos/cluster_run.py --minutes $(MINUTES) $(OPTIONS)

docs: setup  ## the pages that are written from code, and all pages as a site; a broken link is an error
	$(BIN)/python -m tidings.kafka.support > docs/kafka-support.md
	$(BIN)/python -m tidings.kafka.configs_page > docs/configs.md
	$(BIN)/python -m tidings.cli.settings_page > docs/settings.md
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/docs.lock
	$(BIN)/sphinx-build -q --fail-on-warning --keep-going -c docs/site . build/site
	@echo "The site begins at build/site/index.html"

FUZZ_INPUTS := 200000

fuzz: setup  ## hostile bytes on the broker's connection and in record batches, guided by coverage
	$(BIN)/python -m pip install --quiet "atheris>=2.3"
	$(BIN)/python tests/fuzz/connection.py -runs=$(FUZZ_INPUTS)
	$(BIN)/python tests/fuzz/batches.py -runs=$(FUZZ_INPUTS)

matrix: setup  ## every correct design under every latency and fault; about half an hour
	$(BIN)/python benchmarks/matrix.py $(OPTIONS)

bench: setup  ## what an append, the stores on disk, the checker, the workbench and the simulator cost
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/stores.py
	$(BIN)/python benchmarks/large_records.py
	$(BIN)/python benchmarks/checker.py
	$(BIN)/python benchmarks/workbench.py
	$(BIN)/python benchmarks/designs.py --picture docs/pictures/linger.svg
	$(BIN)/python benchmarks/simulator.py
	$(BIN)/python benchmarks/broker $(OPTIONS)

bench-broker: setup  ## the broker beside Apache Kafka, kfake and Tansu; with OPTIONS=--quick in minutes
	$(BIN)/python benchmarks/broker $(OPTIONS)

bench-cluster: setup  ## brokers on etcd and S3, and on PostgreSQL; OPTIONS=--quick takes minutes
	tests/servers/install_from_debian
	$(BIN)/python benchmarks/cluster $(OPTIONS)

growth: setup  ## what grows with a million small batches; OPTIONS="--batches 10000000" for months of use
	$(BIN)/python benchmarks/growth.py --batches 1000000 $(OPTIONS)

clients: setup  ## every client against Tidings and Apache Kafka; writes docs/clients.md
	$(BIN)/python tests/clients/compare.py

SIM_DESIGNS := journal gossip offset-list naive
SIM_SEEDS := 2000
SIM_CLUSTER_SEEDS := 500

sim: setup  ## thousands of simulated runs of every correct design and of clusters, over all cores
	for design in $(SIM_DESIGNS); do \
	  $(BIN)/tidings sim --design $$design --seeds $(SIM_SEEDS) || exit 1; \
	done
	$(BIN)/tidings sim --design cluster --seeds $(SIM_CLUSTER_SEEDS)

sim-mutants: setup  ## in how many seeds the simulator catches each planted bug
	$(BIN)/python benchmarks/planted_bugs.py

setup: $(VENV)/.done

$(VENV)/.done: requirements/dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

test: lint types imports unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	tests/servers/install_from_debian
	$(BIN)/pytest -n 2

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock:  ## renew requirements/*.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --quiet --group dev pyproject.toml --output-file requirements/dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --quiet --group docs --constraint requirements/dev.lock --output-file requirements/docs.lock

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
