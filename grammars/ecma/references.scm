(call_expression
  function: [
    (identifier) @reference.call
    (member_expression
      property: (property_identifier) @reference.call)
  ])

(new_expression
  constructor: [
    (identifier) @reference.call
    (member_expression
      property: (property_identifier) @reference.call)
  ])

(identifier) @reference.use

(property_identifier) @reference.use

(shorthand_property_identifier) @reference.use

(arrow_function
  parameter: (identifier) @binding)

(variable_declarator
  name: (identifier) @binding)

(shorthand_property_identifier_pattern) @binding

(array_pattern
  (identifier) @binding)

(catch_clause
  parameter: (identifier) @binding)

(for_in_statement
  left: (identifier) @binding)

(import_statement
  source: (string
    (string_fragment) @import.path)) @import

(import_statement
  (import_clause
    (identifier) @import.name)) @import

(import_statement
  (import_clause
    (named_imports
      (import_specifier
        name: (identifier) @import.name)))) @import

(export_statement
  source: (string
    (string_fragment) @import.path)) @import

(export_statement
  (export_clause
    (export_specifier
      name: (identifier) @import.name))
  source: (string)) @import

(call_expression
  function: (import)
  arguments: (arguments
    .
    (string
      (string_fragment) @import.path)))

(call_expression
  function: (identifier) @_require
  arguments: (arguments
    .
    (string
      (string_fragment) @import.path))
  (#eq? @_require "require"))
