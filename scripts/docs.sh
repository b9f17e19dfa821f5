#!/bin/bash
# Writes the site, build/docs/html, with Sphinx (docs/conf.py), and its C++ reference, build/docs/html/api, with Doxygen. A
# warning of either is an error, and so is a link that leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."
site=build/docs/html
rm -rf build/docs
mkdir -p build/docs
doxygen docs/Doxyfile
sphinx-build -q -W --keep-going -c docs -d build/docs/doctrees . $site
mv build/docs/api $site/api
cp $site/README.html $site/index.html

# Debian's furo has its script in two modules, which pages that are opened from disk may not load: one file of both.
scripts=$site/_static/scripts
if grep -q '^import Gumshoe' $scripts/furo.js; then
  sed -i '/^import Gumshoe/d' $scripts/furo.js
  cat $scripts/furo.js >>$scripts/gumshoe-patched.js
  mv $scripts/gumshoe-patched.js $scripts/furo.js
fi

python3 tests/docs/check_site.py $site
echo "docs: open $site/index.html"
