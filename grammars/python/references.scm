(call
  function: [
    (identifier) @reference.call
    (attribute
      attribute: (identifier) @reference.call)
  ])

(decorator
  [
    (identifier) @reference.call
    (attribute
      attribute: (identifier) @reference.call)
  ])

(class_definition
  superclasses: (argument_list
    [
      (identifier) @reference.implement
      (attribute
        attribute: (identifier) @reference.implement)
      (subscript
        value: (identifier) @reference.implement)
    ]))

(type
  [
    (identifier) @reference.type
    (attribute
      attribute: (identifier) @reference.type)
    (generic_type
      (identifier) @reference.type)
  ])

(identifier) @reference.use

(parameters
  [
    (identifier) @binding
    (default_parameter
      name: (identifier) @binding)
    (typed_parameter
      (identifier) @binding)
    (typed_default_parameter
      name: (identifier) @binding)
    (list_splat_pattern
      (identifier) @binding)
    (dictionary_splat_pattern
      (identifier) @binding)
  ])

(lambda_parameters
  (identifier) @binding)

(assignment
  left: [
    (identifier) @binding
    (pattern_list
      (identifier) @binding)
  ])

(for_statement
  left: [
    (identifier) @binding
    (pattern_list
      (identifier) @binding)
  ])

(for_in_clause
  left: [
    (identifier) @binding
    (pattern_list
      (identifier) @binding)
  ])

(as_pattern_target
  (identifier) @binding)

; The name of a parameter of something else.
(keyword_argument
  name: (identifier) @binding)

(import_statement
  name: [
    (dotted_name) @import.path
    (aliased_import
      name: (dotted_name) @import.path)
  ])

(import_from_statement
  module_name: (_) @import.path) @import

(import_from_statement
  name: [
    (dotted_name) @import.name
    (aliased_import
      name: (dotted_name) @import.name)
  ]) @import
