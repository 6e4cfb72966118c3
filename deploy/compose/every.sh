#!/bin/sh
# every.sh SECONDS COMMAND...: run a command, then again that many seconds after it ended, until SIGTERM.
pause=$1
shift
child=
stop() {
  trap - TERM INT
  [ -z "$child" ] || { kill -TERM "$child" && wait "$child"; }
  exit 0
}
trap stop TERM INT
while :; do
  "$@" &
  child=$!
  wait "$child" || echo "$1 ended with exit code $?; the next run is in $pause seconds" >&2
  sleep "$pause" &
  child=$!
  wait "$child"
done
