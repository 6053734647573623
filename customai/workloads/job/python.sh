#!/bin/sh
# A Python of its own for what is run on this machine, with what a file of requirements names: sh python.sh REQUIREMENTS
# Prints where it is. What it installs it does once, and says so on standard error.
set -eu
python=$HOME/.customai/python
wanted=$(sha256sum "$1")
ready=$python/ready-${wanted%% *}

if [ ! -e "$ready" ]; then
  echo "installing what is needed: the first time, this takes minutes" >&2
  [ -x "$python/bin/python" ] || python3 -m venv "$python" >&2 || {
    sudo -n apt-get -qq update >&2 && sudo -n apt-get -qq install -y python3-venv >&2 && python3 -m venv "$python" >&2
  }
  "$python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1" >&2
  touch "$ready"
fi
echo "$python/bin/python"
