#!/usr/bin/env bash
# databento 0.87.0: importing the package puts ("always", DeprecationWarning) in front of the process's warning filters,
# also where the program has silenced them before. From then on the deprecations of every other library are printed each
# time they occur.
#
# Seen: first filter before the import ("ignore", DeprecationWarning), after it ("always", DeprecationWarning).
# Exits 0 while that is so, 1 when it changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=$(command -v python3.12 || command -v python3.13)
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "databento==0.87.0" 2>/dev/null
"$folder/venv/bin/python" - <<'PY'
import warnings

warnings.simplefilter("ignore", DeprecationWarning)
import databento

first = warnings.filters[0]
shown = [entry for entry in warnings.filters if entry[:3] == ("always", None, DeprecationWarning)]
print("databento", databento.__version__)
print("first filter after the import:", first[0], first[2].__name__)
raise SystemExit(0 if shown and warnings.filters.index(shown[0]) == 0 else 1)
PY
