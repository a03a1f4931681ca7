(extends_clause
  value: [
    (identifier) @reference.implement
    (member_expression
      property: (property_identifier) @reference.implement)
  ])

(implements_clause
  [
    (type_identifier) @reference.implement
    (generic_type
      name: (type_identifier) @reference.implement)
  ])

(extends_type_clause
  type: [
    (type_identifier) @reference.implement
    (generic_type
      name: (type_identifier) @reference.implement)
  ])

(type_identifier) @reference.type

(required_parameter
  pattern: [
    (identifier) @binding
    (rest_pattern
      (identifier) @binding)
  ])

(optional_parameter
  pattern: (identifier) @binding)

(import_require_clause
  source: (string
    (string_fragment) @import.path))
