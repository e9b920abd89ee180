# One obvious command for each thing. Nothing but Python 3.11 or 3.12, make, gcc and git is needed.

PYTHON ?= python3
CORES ?= 2
FIGURES ?= accuracy fig5
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# Of what is installed, pip checks the SHA-256, on the system that requirements.hashes is about; HASHES=no takes versions alone,
# for an index with builds of its own.
HASHES ?= $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),yes,no)
ifeq ($(HASHES),yes)
install = grep '\# .*\<$(1)\>' requirements.hashes | $(PIP) --require-hashes --no-deps --requirement /dev/stdin
else
install = $(PIP) --constraint requirements.lock --requirement $(2)
endif
READY := .venv/ready
EXTRAS := .venv/ready-extras
DEV := .venv/ready-dev

.PHONY: help about dry env extras dev demo reference test check envs pins raise stays fix bench profile checksums dag report docs clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY) ## create .venv with what the workflow needs to run, every package pinned, and mettle for `import mettle`

extras: $(EXTRAS) ## add what only some configurations need: loggers, TFDS, buckets, attacks and barcodes of others

dev: $(DEV) ## add what tests, checks and benches need, extras included

$(READY): requirements.txt requirements.lock requirements.hashes
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 13) else "mettle needs Python 3.11 or 3.12, $(PYTHON) is %d.%d: make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(call install,env,requirements.txt)
	@# mmcv asks for the OpenCV with windows, which needs libGL and lies in the same folder: the one without them comes last.
	@grep ^opencv-python-headless requirements.$(if $(filter yes,$(HASHES)),hashes,txt) | \
		$(PIP) --requirement /dev/stdin --force-reinstall --no-deps
	@$(BIN)/python -c 'import sys, sysconfig; open(sysconfig.get_path("purelib") + "/mettle.pth", "w").write(sys.argv[1])' "$(CURDIR)/workflow/scripts"
	@touch $@

$(EXTRAS): $(READY) requirements-extras.txt
	$(call install,extras,requirements-extras.txt)
	@touch $@

$(DEV): $(EXTRAS) requirements-dev.txt
	$(call install,dev,requirements-dev.txt)
	@touch $@

demo: $(READY) ## the chain to figure 5 on the CPU, then the names of what it made; FIGURES=all for every figure
	@$(BIN)/python workflow/scripts/demo.py --cores $(CORES) --figures $(FIGURES)

REFERENCE := .venv/ready-reference
$(REFERENCE): $(READY) requirements-reference.txt
	$(call install,reference,requirements-reference.txt)
	@touch $@

reference: $(REFERENCE) ## real networks on real photographs, beside the numbers that they gave before (docs/reference.md)
	$(BIN)/snakemake --cores $(CORES) --configfile config/reference.yaml --quiet rules
	$(BIN)/python -m mettle.commands.reference results/reference resources/expected/reference.tsv

test: $(DEV) ## every test, in two processes more than there are cores, since some wait for Slurm
	$(BIN)/pytest -n $$(($(CORES) + 2)) --dist worksteal

check: $(DEV) ## ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

envs: $(DEV) ## the conda environments: parsed, resolved by pip, and jobs run with nothing else (4 minutes)
	$(BIN)/python envs/check.py
	$(BIN)/pytest -m environments

pins: $(DEV) ## write envs/*.yaml and requirements.hashes from imports and requirements.lock, and the models of the pinned timm
	$(BIN)/python envs/check.py --write
	$(BIN)/python envs/hashes.py
	$(BIN)/python envs/list_timm.py

raise: $(DEV) ## after a change of code that moves numbers: make raise RULES="attack compare"
	$(BIN)/python tests/revisions.py raise $(RULES)

stays: $(DEV) ## after a change of code that moves none: compare recorded numbers, then note the code of every rule
	$(BIN)/python tests/revisions.py stays

fix: $(DEV) ## format everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

BENCHES := attacks tokens prime corruptions similarity memory topology inversion extraction reading install conda workflow jobs scale

bench: export PATH := $(CURDIR)/$(BIN):$(PATH)
bench: $(DEV) ## ours beside other projects, equal values first; dry runs, the demo, installing; then docs/speed.md
	for bench in $(BENCHES); do $(BIN)/python benchmarks/$$bench.py --record || exit 1; done
	$(BIN)/python benchmarks/scale.py --record --one-group --models 200 400
	$(BIN)/python benchmarks/costs.py --record --check resnet50 vgg11 vit_small_patch16_224
	$(BIN)/python docs/make_speed.py

ARCH ?= resnet18
PROFILED = $(if $(SIZE),--size $(SIZE)) $(if $(BATCH),--batch $(BATCH)) $(if $(CLASSES),--classes $(CLASSES)) \
	$(if $(DEVICE),--device $(DEVICE)) $(if $(PRECISION),--precision $(PRECISION)) $(if $(STEPS),--steps $(STEPS)) \
	$(if $(WARM),--warm $(WARM)) $(if $(REPEATS),--repeats $(REPEATS)) $(if $(OUT),--out $(OUT)) --threads $(CORES)

profile: $(READY) ## what networks cost: make profile ARCH=resnet50 BATCH=64 STEPS="1 10" (docs/training.md)
	@$(BIN)/python -m mettle.commands.profile $(ARCH) $(PROFILED)

SHEETS ?= $(wildcard config/*.tsv config/models/*.tsv)

checksums: $(READY) ## fill column sha256 of the sheets for the files that are at hand
	@$(BIN)/python -m mettle.commands.checksums $(SHEETS)

DRY := paper robustbench

dry: $(READY) ## what the configurations of published results would run, which no test makes
	for name in $(DRY); do $(BIN)/snakemake -n --quiet rules --configfile config/$$name.yaml || exit 1; done

about: $(READY) ## versions, commit, machine and configuration, for an issue: make about CONFIG=my.yaml PROFILE=slurm
	@$(BIN)/python -m mettle.commands.about $(if $(CONFIG),--config $(CONFIG)) $(if $(PROFILE),--profile $(PROFILE))

dag: $(READY) ## graph of the rules of figure 5, as text for mermaid
	@$(BIN)/snakemake --rulegraph mermaid-js results/figures/fig5.pdf

REPORT ?= results/report.html

report: $(READY) ## results/report.html with figures, tables, captions and run times; of your own: make report CONFIG=my.yaml
	$(BIN)/snakemake --profile profiles/local $(if $(CONFIG),--configfile $(CONFIG)) --report $(REPORT)

docs: $(DEV) ## write docs/tables.md, measures.md, reruns.md, library.md and library.ipynb, the tables of speed.md and cluster.md and the picture of corruptions.md
	for page in tables measures reruns library speed asked corruptions; do $(BIN)/python docs/make_$$page.py || exit 1; done

MADE := results logs .snakemake benchmarks/results

clean: ## remove what was made, once you say yes (or YES=1); the environment stays
	@made=$$(ls -d $(MADE) 2>/dev/null); \
	[ "$$made" ] || { echo "Nothing has been made."; exit 0; }; \
	du -sch $$made; \
	echo "$$(ls results/train 2>/dev/null | wc -l) trained or converted models are among it."; \
	if [ "$(YES)" != 1 ]; then \
		[ -t 0 ] || { echo "Nothing was removed: make clean YES=1 removes it without asking." >&2; exit 1; }; \
		printf "Remove all of it? [y/N] "; read -r answer; \
		[ "$$answer" = y ] || { echo "Nothing was removed."; exit 1; }; \
	fi; \
	rm -rf $$made
