source lib/helpers.sh
. "$(dirname "$0")/other.sh"

walk_steps "$STEPS" "${ROWS[@]}" | visit_all
