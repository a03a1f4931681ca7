(call_expression
  function: [
    (identifier) @reference.call
    (scoped_identifier
      name: (identifier) @reference.call)
    (field_expression
      field: (field_identifier) @reference.call)
    (generic_function
      function: [
        (identifier) @reference.call
        (scoped_identifier
          name: (identifier) @reference.call)
        (field_expression
          field: (field_identifier) @reference.call)
      ])
  ])

(macro_invocation
  macro: [
    (identifier) @reference.call
    (scoped_identifier
      name: (identifier) @reference.call)
  ])

(impl_item
  trait: [
    (type_identifier) @reference.implement
    (scoped_type_identifier
      name: (type_identifier) @reference.implement)
    (generic_type
      type: [
        (type_identifier) @reference.implement
        (scoped_type_identifier
          name: (type_identifier) @reference.implement)
      ])
  ])

; What is derived is implemented.
(attribute_item
  (attribute
    (identifier) @_derive
    arguments: (token_tree
      (identifier) @reference.implement))
  (#eq? @_derive "derive"))

(type_identifier) @reference.type

(identifier) @reference.use

(field_identifier) @reference.use

(let_declaration
  pattern: (identifier) @binding)

(parameter
  pattern: (identifier) @binding)

(closure_parameters
  (identifier) @binding)

(for_expression
  pattern: (identifier) @binding)

(tuple_pattern
  (identifier) @binding)

(tuple_struct_pattern
  type: (_)
  (identifier) @binding)

(lifetime
  (identifier) @binding)

; Names of attributes and what they are told are a language of its own.
(attribute
  [
    (identifier) @binding
    (scoped_identifier
      name: (identifier) @binding)
  ])

(attribute
  arguments: (token_tree
    (identifier) @binding))

(attribute
  arguments: (token_tree
    (token_tree
      (identifier) @binding)))

(use_declaration
  argument: (_) @import.tree)

(mod_item
  name: (identifier) @import.module
  !body)
