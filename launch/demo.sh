#!/usr/bin/env bash
# What `make demo` runs. Environment: DATA (data set, sequence or image folder), BAG (rosbag2),
# OUT (folder for the results). Without DATA and BAG the frames are generated scenes.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$root/env.sh"

out="${OUT:-out/demo}"
if [ -n "${DATA:-}" ] && [ -n "${BAG:-}" ]; then
  echo "demo: DATA and BAG exclude each other; give one" >&2
  exit 2
fi

# Of an earlier run go exactly the files that this run makes anew: OUT may hold others.
rm -f -- "$out/metrics.json" "$out/report.html" "$out/tracks.html"
if [ -f "$out/bag/metadata.yaml" ]; then rm -r -- "$out/bag"; fi

arguments=(target:=cpu output:="$out" record:="$out/bag")
if [ -n "${BAG:-}" ]; then
  arguments+=(source:=bag bag:="$BAG" lock_step:=true)
elif [ -n "${DATA:-}" ]; then
  if [ -d "$DATA/images" ] || [ -f "$DATA/gt.csv" ]; then kind=dataset
  elif [ -f "$DATA" ]; then kind=video
  else kind=folder
  fi
  arguments+=(source:="$kind" path:="$DATA" lock_step:=true)
else
  # 15 seconds at a pace that two cores hold; what is dropped is counted.
  arguments+=(source:=synthetic rate:=20 limit:=300)
fi

echo "dsad up ${arguments[*]}"
dsad up "${arguments[@]}"
