#!/bin/bash
# What the script does.
set -euo pipefail

ROOT="$(cd "$(dirname "$0")" && pwd)"
readonly LIMIT=10
export PATH="$ROOT/bin:$PATH" MODE=fast
declare -a items=(a b)

# Builds
# one target.
build() {
    local target="$1"
    count=1
    echo "building $target ${count}"
}

function clean {
    rm -rf "$ROOT/out"
}

main() (
    build "$@"
)

alias ll='ls -l' la="ls -a"
alias g=git

if [ -n "${DEBUG:-}" ]; then
    inner=1
fi

cat <<EOF
not_a_function() {
EOF
main "$@"
