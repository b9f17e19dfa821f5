#!/bin/bash
# Writes build/docs/html from the headers and docs/; a warning of doxygen is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
rm -rf build/docs
doxygen docs/Doxyfile
echo "docs: open build/docs/html/index.html"
