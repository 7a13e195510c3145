# Plain `make` lists the commands.
SHELL := /bin/bash
BIN := .venv/bin
UV := $(BIN)/uv
export ORT_DISABLE_TELEMETRY := 1

# Stubs demand a protobuf runtime at least as new as the generator's: this is the lowest grpcio that we allow.
GRPC_TOOLS := grpcio-tools==1.76.0
BUF := @bufbuild/buf@1.75.0

help: ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.venv/.installed: requirements/dev.txt pyproject.toml
	python3 -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check 'uv>=0.8'
	$(UV) pip install -q --require-hashes -r requirements/dev.txt
	$(UV) pip install -q --no-deps -e .
	@touch $@

install: .venv/.installed ## Make .venv with everything a checkout needs.

demo: install ## Start the service, train on images it draws, classify one, show the metrics.
	@$(BIN)/python scripts/demo.py

test: install ## Run the tests (under 5 minutes on 2 cores).
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: install ## Run the proofs that take minutes (at most 20).
	@$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

test-all: install ## Run the long rest.
	@$(BIN)/python -m pytest -m all

check: install protos-check ## Lint, types, format, protos.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: install ## Generate the stubs from the protos.
	scripts/protos.sh "$(UV)" "$(GRPC_TOOLS)" protos

protos-check: install ## Fail where the stubs are not what the protos give, and lint the protos.
	scripts/protos.sh "$(UV)" "$(GRPC_TOOLS)" check
	npx --yes $(BUF) lint

requirements: install ## Lock the dependencies anew, with hashes.
	scripts/requirements.sh "$(UV)"

bench-serving: install ## Compare serving with other servers (an hour, both cores quiet; BENCH=--quick: minutes).
	@$(BIN)/python -m benchmarks.serving --peers all $(BENCH)

chaos: install ## Kill service and trainers 200 times while they work (an hour; CHAOS="--seed 7 --kills 20").
	@$(BIN)/python -m benchmarks.chaos $(CHAOS)

study: install ## Compare ways of fine-tuning on real images (100 minutes of CPU; goes on where it stopped).
	@nice -n 10 $(BIN)/python -m benchmarks.study $(STUDY)

study-full: install ## The same with more images, epochs and seeds (days on two cores).
	@nice -n 10 $(BIN)/python -m benchmarks.study --large $(STUDY)

image: ## Build the images `cultivar:service` and `cultivar:gpu` with Docker.
	docker build --target service -t cultivar:service .
	docker build --target gpu -t cultivar:gpu .

.PHONY: help install demo test test-slow test-all check format protos protos-check requirements bench-serving chaos study study-full image
