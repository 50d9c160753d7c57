#!/usr/bin/env sh
# Makes sure that a Chromium is there for the dashboard's tests: found, from the system's packages,
# or playwright's own.  Says in a line what it does; doing it twice changes nothing.
# Usage: install_browser.sh [PYTHON]     PYTHON has playwright installed
set -eu

python=${1:-python}

say() { echo "install_browser: $*"; }

quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
    else
        say "failed: $*"
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

own_browser() {
    find "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}" -path '*/chromium-*/chrome-linux*/chrome' 2>/dev/null | head -n 1
}

if [ -n "${EVOMERGE_TEST_BROWSER:-}" ]; then
    say "using $EVOMERGE_TEST_BROWSER (EVOMERGE_TEST_BROWSER)"
    exit 0
fi
for name in chromium chromium-browser google-chrome; do
    if found=$(command -v "$name"); then
        say "using $found"
        exit 0
    fi
done
if found=$(own_browser) && [ -n "$found" ]; then
    say "using $found"
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing the system's package chromium"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update && quietly apt-get install -y --no-install-recommends chromium && command -v chromium >/dev/null && exit 0
    say "the package could not be installed; trying playwright's own browser"
fi
say "downloading playwright's own Chromium"
quietly "$python" -m playwright install chromium
