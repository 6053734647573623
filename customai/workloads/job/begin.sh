#!/bin/sh
# Sees that a run goes on on this machine, detached and only once: sh begin.sh RUN CODE
# The first time, it makes a Python of its own with what the work needs. All of it is told in the run's job.log.
set -eu
run=$1 code=$2

if [ "${3:-}" != detached ]; then
  exec 9> "$run/begin.lock"
  flock -n 9 || exit 0 # it goes on: the lock is held until its end
  setsid sh "$0" "$run" "$code" detached < /dev/null >> "$run/job.log" 2>&1 &
  exit 0
fi

export PYTHONPATH="$code" PYTHONUNBUFFERED=1
python=$(sh "${0%/*}/python.sh" "$run/requirements.txt")
exec "$python" -m customai.workloads.job.runner "$run"
