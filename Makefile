# Everything runs in .venv. These commands create it if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# If PIP_FIND_LINKS names a folder, the CPU build of torch comes from there. Otherwise, uv picks the build for this machine.
TORCH := $(if $(PIP_FIND_LINKS),$(addprefix --find-links ,$(PIP_FIND_LINKS)),--torch-backend=auto)
EXTRAS := --extra dev --extra $(if $(shell command -v nvidia-smi),gpu,cpu)
INSTALL := VIRTUAL_ENV=.venv $(BIN)/uv pip install --compile-bytecode $(TORCH) --constraint constraints.txt

RATIOS ?= 0,0.05,0.1,0.25,0.5
SEEDS ?= 1
MAX_LOSS ?= $(MMLU_DROP)
BASE ?= main
HEAD ?= HEAD
SERVE_ENV := VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1

.PHONY: repro sweep real frontier test test-slow serve lock smoke review verify check
repro: .venv/installed  ## run the stages that are out of date, from data to the report
	@alloy check --repair
	dvc repro

sweep: .venv/installed  ## run an experiment per mix ratio; also SEEDS=3, LRS=1.0e-3,3.0e-3, MAX_LOSS=0.05, AXIS=mmlu.acc
	alloy sweep --ratios "$(RATIOS)" --lrs "$(LRS)" --seeds "$(SEEDS)" --max-loss "$(MAX_LOSS)" --axis "$(AXIS)"

real: .venv/installed  ## fine-tune a real model on real reviews, mix.ratio 0 and 0.25, at most about 90 minutes on two cores
	alloy evidence mams --only "mix.ratio 0, mix.ratio 0.25" --seeds 0 --out metrics/real

frontier: .venv/installed  ## recommend one of this commit's runs that loses at most MAX_LOSS=0.05 of AXIS=mmlu.acc
	alloy frontier --max-loss "$(MAX_LOSS)" --axis "$(AXIS)"

test: .venv/installed  ## run the fast tests
	pytest --numprocesses auto --dist loadfile

test-slow: .venv/installed  ## run the tests that start processes, servers, vLLM or whole pipelines
	pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m slow

serve: .venv/installed  ## serve the tuned model at http://localhost:8000/v1 with vLLM
	$(SERVE_ENV) python -m vllm.entrypoints.openai.api_server --model models/tuned --generation-config vllm $(SERVE)

lock: .venv/installed  ## check that the committed metrics belong to the committed code, params and data
	alloy check lock

smoke: .venv/installed  ## run the last commit's experiment at the smallest scale, in a clone
	alloy smoke

review: .venv/installed  ## print the changes of params and metrics from BASE to HEAD, in Markdown
	@alloy review $(BASE) $(HEAD)

verify: .venv/installed  ## read all of DVC's cache and remove corrupt files
	alloy check cache

check: .venv/installed  ## check lint, format, layers and types
	ruff check . && ruff format --check . && lint-imports --no-logo && pyright

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt uv
	$(INSTALL) --requirement pyproject.toml $(EXTRAS)
	$(INSTALL) --no-deps --quiet --editable .
	$(BIN)/alloy check versions --write
	touch $@
