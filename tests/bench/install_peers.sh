#!/bin/sh
# Put other projects' schedulers, for `make bench`, into environments of their own under
# build/peers (or the folder that is named). They are heavy: a few minutes and 2 GB.
set -eu
folder=${1:-build/peers}
for pinned in flexmeasures==1.0.1 emhass==0.18.7; do
    name=${pinned%%=*}
    python3 -m venv "$folder/$name"
    "$folder/$name/bin/pip" install --quiet --disable-pip-version-check "$pinned"
done
