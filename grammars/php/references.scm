(function_call_expression
  function: [
    (name) @reference.call
    (qualified_name
      (name) @reference.call)
  ])

(member_call_expression
  name: (name) @reference.call)

(nullsafe_member_call_expression
  name: (name) @reference.call)

(scoped_call_expression
  name: (name) @reference.call)

(object_creation_expression
  [
    (name) @reference.call
    (qualified_name
      (name) @reference.call)
  ])

(base_clause
  [
    (name) @reference.implement
    (qualified_name
      (name) @reference.implement)
  ])

(class_interface_clause
  [
    (name) @reference.implement
    (qualified_name
      (name) @reference.implement)
  ])

; A trait that a class takes in.
(use_declaration
  [
    (name) @reference.implement
    (qualified_name
      (name) @reference.implement)
  ])

(named_type
  [
    (name) @reference.type
    (qualified_name
      (name) @reference.type)
  ])

(scoped_call_expression
  scope: [
    (name) @reference.type
    (qualified_name
      (name) @reference.type)
  ])

(class_constant_access_expression
  .
  [
    (name) @reference.type
    (qualified_name
      (name) @reference.type)
  ])

(name) @reference.use

(variable_name
  (name) @binding)

(namespace_use_declaration) @import.tree

(include_expression
  [
    (string
      (string_content) @import.path)
    (binary_expression
      right: (string
        (string_content) @import.path))
  ])

(include_once_expression
  [
    (string
      (string_content) @import.path)
    (binary_expression
      right: (string
        (string_content) @import.path))
  ])

(require_expression
  [
    (string
      (string_content) @import.path)
    (binary_expression
      right: (string
        (string_content) @import.path))
  ])

(require_once_expression
  [
    (string
      (string_content) @import.path)
    (binary_expression
      right: (string
        (string_content) @import.path))
  ])
