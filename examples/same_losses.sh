#!/usr/bin/env bash
# usage: same_losses.sh ONE OTHER TOLERANCE
# Whether the training run whose log.jsonl is OTHER has the losses that ONE has in the same steps, to a relative
# tolerance.
set -euo pipefail

losses() { sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*/\1 \2/p' "$1" | sort -n -k 1,1 -u; }

losses "$2" | awk -v tolerance="$3" -v other="$2" '
  NR == FNR { expected[$1] = $2; next }
  {
    if (!($1 in expected)) { print other ": step " $1 " was not taken by the first run"; failed = 1; next }
    difference = $2 / expected[$1] - 1
    if (!(difference <= tolerance && difference >= -tolerance)) {
      print other ": step " $1 " has loss " $2 ", expected " expected[$1]
      failed = 1
    }
    last = $1 ": loss " $2 ", expected " expected[$1]
  }
  END { print "step " last; exit failed || last == "" }' <(losses "$1") -
