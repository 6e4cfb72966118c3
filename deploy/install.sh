#!/bin/sh
# install.sh VENV cpu|gpu EXTRAS: this checkout in an environment of its own, with torch for the device.
# The wheels of torch on PyPI bring CUDA for Linux; those of the CPU are on a server of their own and a tenth as large.
set -eu
cd "$(dirname "$0")/.."
venv=$1 device=$2 extras=$3
case $device in
cpu) index=${TORCH_CPU_INDEX-https://download.pytorch.org/whl/cpu} ;;
gpu) index= ;;
*) echo "the device is cpu or gpu, not $device" >&2 && exit 2 ;;
esac
python3 -m venv "$venv"
"$venv/bin/pip" install --no-cache-dir --disable-pip-version-check --quiet -c constraints.txt \
  ${index:+--extra-index-url "$index"} ".[$extras]"
"$venv/bin/trueward" --version
