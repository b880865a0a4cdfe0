# Two commands, each complete on a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test stress campaign bench bench-release clean

demo: $(STAMP)
	$(BIN)/monai-mriprep demo demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not stress"

# Faults, fuzz and training: ten minutes on two cores. The disk tests need root, to mount small file systems.
stress: $(STAMP)
	$(BIN)/python -m pytest -m stress

# The same with the full number of kills, faults and rounds: some twenty minutes.
campaign: $(STAMP)
	MRIPREP_CAMPAIGN=1 $(BIN)/python -m pytest -m stress -s

# Ours beside MONAI, nnU-Net, TorchIO and SimpleITK; half an hour on an idle machine.
bench: $(STAMP) .venv-peers/.installed
	$(BIN)/python -m benchmarks.run --fill docs/performance.md

# Beside version 0.1.0, which git holds: the same arrays, and as quick; fifteen minutes on an idle machine.
bench-release: $(STAMP)
	$(BIN)/python -m benchmarks.byte_identity
	$(BIN)/python -m benchmarks.against_release

.venv-peers/.installed: benchmarks/peers-requirements.txt benchmarks/peers-constraints.txt
	benchmarks/make_peers.sh .venv-peers

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,bundle]' -c constraints.txt
	touch $(STAMP)

clean:
	rm -rf $(VENV) .venv-peers demo bench-out
