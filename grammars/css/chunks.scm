[
  (rule_set)
  (media_statement)
  (supports_statement)
  (keyframes_statement)
  (at_rule)
] @unit
