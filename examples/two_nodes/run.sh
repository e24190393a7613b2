#!/bin/sh
# Three nodes on this machine: a child of one lives on the second, and on the third when that is gone.
#
#   UK=path/to/uk examples/two_nodes/run.sh
set -eu
uk=${UK:-uk}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=
trap 'for pid in $pids; do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

# boot NAME TREE: starts a node, and says its process.
boot() {
  name=$1 tree=$2
  "$uk" run "$here/$tree" --name "$name" --socket "$work/$name.sock" --data-dir "$work/$name" \
    --node-listen 127.0.0.1:0 >"$work/$name.out" 2>&1 &
  pids="$pids $!"
  eval "pid_$(echo "$name" | tr - _)=$!"
  until at "$name" tree >/dev/null 2>&1; do :; done
}
# at NODE COMMAND …: a command on that node.
at() {
  node=$1
  shift
  "$uk" --socket "$work/$node.sock" "$@"
}
# text KEY: the first text of that key in a document.
text() { tr ',{}' '\n\n\n' | sed -n "s/^ *\"$1\": *\"\\([^\"]*\\)\"\$/\\1/p" | head -n 1; }
address() { at "$1" state /system/nodes --json | text address; }
lives_on() { at home tree /far --json | tr -d ' \n' | sed -n 's/.*"placed":{"node":"\([^"]*\)"}.*/\1/p'; }
until_lives_on() { until [ "$(lives_on)" = "$1" ]; do :; done; echo "far lives on $1"; }

boot home home.yaml
home=$(address home)
while [ -z "$home" ]; do home=$(address home); done

export UK_LABELS__ROLE=edge
boot edge-1 edge.yaml
at edge-1 node attach "$home" >/dev/null
until_lives_on edge-1
echo "asked at home, it answers from there:" "$(at home ask /far '{"echo": "hello"}')"

boot edge-2 edge.yaml
at edge-2 node attach "$home" >/dev/null
echo "what home sees of a child of edge-2:" "$(at home ask edge-2:/here '{"echo": "hi"}')"

kill -9 "$pid_edge_1"
echo "edge-1 is killed"
until_lives_on edge-2
echo "asked at home, it answers from there:" "$(at home ask /far '{"echo": "hello again"}')"

boot edge-1 edge.yaml
at edge-1 node attach "$home" >/dev/null
echo "edge-1 is back, and far stays where it is: $(lives_on)"
for node in home edge-1 edge-2; do at "$node" shutdown >/dev/null; done
