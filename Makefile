# Two commands, each complete on a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := pip install --quiet --disable-pip-version-check -c constraints.txt
PIP := $(BIN)/$(INSTALL)
# Stamps: what is installed in $(VENV). What running needs; what `make test` needs, too; what `make stress` needs, too.
RUN := $(VENV)/.installed
TESTS := $(VENV)/.installed-tests
ALL := $(VENV)/.installed-all
# nnU-Net and all that it asks for, in an environment of their own.
NNUNET := .venv-nnunet
INSIDE := $(NNUNET)/bin/python -m pytest tests/nnunet

.PHONY: demo test stress docs campaign bench bench-release bench-nnunet bench-scale clean

demo: $(RUN)
	@echo 'Making a small synthetic dataset in demo/, preprocessing it, and writing a report about it.'
	@$(BIN)/monai-mriprep demo demo

test: $(TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not stress"

# nnU-Net beside ours, faults, fuzz and training: twenty minutes on two cores. The disk tests need root, to mount small
# file systems.
stress: docs $(NNUNET)/.installed
	$(INSIDE)
	$(BIN)/python -m pytest -m stress

# The site, in docs/_build/html: a wrong link, a name that is not found or a notebook that fails is an error.
docs: $(ALL)
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

# The same with the full number of kills, faults and rounds: some twenty minutes.
campaign: $(ALL) $(NNUNET)/.installed
	MRIPREP_CAMPAIGN=1 $(INSIDE) -s
	MRIPREP_CAMPAIGN=1 $(BIN)/python -m pytest -m stress -s

# Ours beside MONAI, nnU-Net, TorchIO and SimpleITK; half an hour on an idle machine.
bench: $(TESTS) .venv-peers/.installed
	$(BIN)/python -m benchmarks.run --fill docs/performance.md

# Beside version 0.1.0, which git holds: the same arrays, and as quick; fifteen minutes on an idle machine.
bench-release: $(TESTS)
	$(BIN)/python -m benchmarks.byte_identity
	$(BIN)/python -m benchmarks.against_release

# nnU-Net with its own code and with ours; a quarter of an hour on an idle machine.
bench-nnunet: $(NNUNET)/.installed
	$(NNUNET)/bin/python -m benchmarks.inside_nnunet --fill docs/performance.md

# What many scans take, by costs that are measured first, and two workers beside one; ten minutes on an idle machine.
bench-scale: $(ALL)
	$(BIN)/python -m benchmarks.scale --measure --fill docs/scale.md
	$(BIN)/python -m benchmarks.workers_scale --fill docs/scale.md

.venv-peers/.installed: benchmarks/peers-requirements.txt benchmarks/peers-constraints.txt
	benchmarks/make_peers.sh .venv-peers

$(RUN): pyproject.toml constraints.txt
	@echo 'Installing what running needs into $(VENV): PyTorch, MONAI, ITK and others. Takes some minutes, once.'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(TESTS): pyproject.toml constraints.txt
	@echo 'Installing the package and what its tests need into $(VENV). Takes some minutes, once.'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[test,bundle]'
	touch $(RUN) $@

$(ALL): $(TESTS)
	@echo 'Installing what builds the documentation, looks at pages in a browser and starts a cluster into $(VENV).'
	$(PIP) -e '.[test,bundle,docs,browser,dask,remote,servers]'
	touch $@

# timm, which nnU-Net names, asks for a torchvision that does not load beside a torch for CPUs, and that nothing here uses.
$(NNUNET)/.installed: pyproject.toml constraints.txt
	@echo 'Installing the package and nnU-Net into $(NNUNET). Takes some minutes, once.'
	$(PYTHON) -m venv $(NNUNET)
	$(NNUNET)/bin/$(INSTALL) -e '.[test,nnunet]'
	$(NNUNET)/bin/pip uninstall --quiet --yes --disable-pip-version-check torchvision
	touch $@

clean:
	rm -rf $(VENV) $(NNUNET) .venv-peers demo bench-out docs/_build
