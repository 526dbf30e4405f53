# make chat         set everything up and open the chat page
# make ask Q="…"    ask one question
# make test         lint, types and tests
# make lock         pin the versions anew (needs Python 3.11)
#
# PYTHON=…    the interpreter to use rather than the first suitable one found
# PIP_ARGS=…  further options for pip: a mirror, a proxy, the index of a CPU build of PyTorch

.PHONY: chat ask test lock clean

VENV := .venv
BIN := $(VENV)/bin
PIP_ARGS ?=
PIP = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --no-compile -c constraints.txt $(PIP_ARGS)

# On all cores, where pip compiles on one; what this Python cannot read is not for it.
COMPILE = $(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >/dev/null || true

# Debian's python3 comes without ensurepip, and then makes no virtual environment.
SUITABLE := import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && { echo "$$p"; break; }; done)

ANY_CHROMIUM := command -v chromium || command -v chromium-browser || command -v google-chrome

ifeq ($(WENJU_LANG),en)
NO_CHROMIUM := Chromium could not be installed: the tests of the page will be skipped.
NO_PYTHON := wenju needs Python 3.11, 3.12 or 3.13 with venv: install one, or name it with PYTHON=….
CUDA_HINT := No NVIDIA GPU found: PyTorch for Linux brings 2.7 GB of GPU code by default; README tells how to take its CPU build (0.2 GB).
else
NO_CHROMIUM := 没有装上 Chromium：网页的测试将被跳过。
NO_PYTHON := 问据需要带 venv 的 Python 3.11、3.12 或 3.13：请安装其一，或用 PYTHON=… 指明。
CUDA_HINT := 没有发现 NVIDIA 显卡：Linux 上 PyTorch 默认带 2.7 GB 的显卡代码；README 说明了怎样改用 CPU 版（0.2 GB）。
endif

# Said where nothing says which PyTorch to take.
TELL_SIZE = [ "$$(uname -sm)" != "Linux x86_64" ] || [ -n "$(PIP_ARGS)" ] || \
	command -v nvidia-smi >/dev/null || echo "$(CUDA_HINT)"

chat: $(VENV)/.installed
	$(BIN)/wenju chat

# The question travels in the environment, so that neither make nor the shell reads it.
ask: export QUESTION = $(value Q)
ask: $(VENV)/.installed
	@$(BIN)/wenju ask -- "$$QUESTION" || [ $$? -eq 3 ]

# Two tests run side by side: threads of either would wait for the other's, spinning.
test: export OMP_NUM_THREADS = 1
# Tests start a hundred processes: without bytecode each would compile all of wenju anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.testable
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -n 2 --dist loadfile

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c '$(SUITABLE)' 2>/dev/null || { echo "$(NO_PYTHON)" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# What the tests need holds what the page needs: installed for them, it need not be once more.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@$(TELL_SIZE)
	$(INSTALL) -e '.[formats]'
	$(COMPILE)
	@touch $@

$(VENV)/.testable: pyproject.toml constraints.txt | $(BIN)/python
	@$(TELL_SIZE)
	$(INSTALL) -e '.[formats,test,training]'
	$(COMPILE)
	@{ $(ANY_CHROMIUM); } >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update && apt-get install -y --no-install-recommends chromium fonts-noto-cjk; } || \
		echo "$(NO_CHROMIUM)"
	@touch $(VENV)/.installed $@

# Made on the oldest Python, whose versions have wheels for the newer ones too. torch first:
# what else is installed must not choose it. audioop-lts is what Gradio needs on 3.13 alone.
lock: BIN := .venv-lock/bin
lock:
	python3.11 -m venv --clear .venv-lock
	$(PIP) install $(PIP_ARGS) torch==2.13.0
	$(PIP) install $(PIP_ARGS) -e '.[formats,test,training]'
	{ echo '# The tested versions of everything, all extras together. Made by `make lock`.'; \
	  echo 'audioop-lts==0.2.2'; \
	  $(PIP) freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt
	rm -r .venv-lock

clean:
	rm -rf .venv .venv-lock build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
