# Everything runs in .venv, which these commands make when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The CPU build of torch comes from the folder that PIP_FIND_LINKS names, else uv picks the build for this machine.
TORCH := $(if $(PIP_FIND_LINKS),$(addprefix --find-links ,$(PIP_FIND_LINKS)),--torch-backend=auto)

EXTRAS := --extra dev --extra $(if $(shell command -v nvidia-smi),gpu,cpu)

.PHONY: repro sweep frontier test serve check lock smoke review verify
repro: .venv/installed  ## run what is out of date, from data to the trade-off
	dvc repro

RATIOS ?= 0,0.05,0.1,0.25,0.5

sweep: .venv/installed  ## run an experiment a mix ratio, and say which to take; also LRS=1.0e-3,3.0e-3, MMLU_DROP=0.05
	python -m alloy.sweep.runner "$(RATIOS)" "$(LRS)" "$(MMLU_DROP)"

frontier: .venv/installed  ## say again which of the runs of this commit to take; MMLU_DROP=0.05 of MMLU may be lost
	python -m alloy.sweep.frontier "$(MMLU_DROP)"

test: .venv/installed  ## run the tests
	pytest --numprocesses auto --dist loadfile

serve: .venv/installed  ## answer requests at http://localhost:8000/v1 with the tuned model, by vLLM
	VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 python -m vllm.entrypoints.openai.api_server \
	    --model models/tuned --generation-config vllm $(SERVE)

lock: .venv/installed  ## say whether the committed figures are those of the committed code, params and data
	python -m alloy.commands.check_lock

# What a mix takes of other data than the demo's would not be there.
define PLAIN
import yaml
params = yaml.safe_load(open("params.yaml"))
params["mix"] |= {"sources": {}, "budget": "keep_customer", "total": None}
yaml.safe_dump(params, open("params.yaml", "w"), sort_keys=False)
endef
export PLAIN

# A clone of the last commit, on the demo's data: neither results nor customers' comments are touched.
SMOKE := .dvc/tmp/smoke
smoke: .venv/installed  ## run the last commit's experiment at the smallest scale, on the demo's data, in $(SMOKE)
	rm -rf $(SMOKE)
	git clone --quiet . $(SMOKE)
	cd $(SMOKE) && python -c "$$PLAIN" && dvc exp run --set-param profile=smoke \
	    $(foreach kind,comments general benchmark instructions,--set-param data.$(kind)=demo) \
	    $(foreach limit,mmlu generated ifeval,--set-param gate.$(limit)_drop=null)

BASE ?= main
HEAD ?= HEAD
review: .venv/installed  ## say in Markdown what HEAD's params and figures change against BASE, where HEAD left it
	@python -m alloy.commands.review $(BASE) $(HEAD)

verify: .venv/installed  ## read all of DVC's cache and take away what is spoilt in it
	python -m alloy.commands.check_cache

check: .venv/installed  ## lint, format and types
	ruff check .
	ruff format --check .
	pyright

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --compile-bytecode $(TORCH) \
	    --constraint constraints.txt --requirement pyproject.toml $(EXTRAS)
	touch $@
