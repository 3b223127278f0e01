#!/bin/sh
# Runs fullprocess.py from cron's bare environment, whatever the current folder; arguments go through.
# What it prints is dropped unless somebody watches a terminal (the log has it), errors are not: so
# cron mails a failure, and 144 times a day nothing.
set -eu
folder=$(dirname "$(readlink -f "$0")")
python=$folder/.venv/bin/python
[ -x "$python" ] || python=python3
[ -t 1 ] || exec >/dev/null
# cron gives no locale: names of files and clients are UTF-8. Two threads leave room for the API.
export LC_ALL=C.UTF-8 OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
exec "$python" "$folder/fullprocess.py" "$@"
