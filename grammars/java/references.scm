(method_invocation
  name: (identifier) @reference.call)

(object_creation_expression
  type: [
    (type_identifier) @reference.call
    (generic_type
      (type_identifier) @reference.call)
  ])

(superclass
  [
    (type_identifier) @reference.implement
    (generic_type
      (type_identifier) @reference.implement)
    (scoped_type_identifier
      (type_identifier) @reference.implement .)
  ])

(type_list
  [
    (type_identifier) @reference.implement
    (generic_type
      (type_identifier) @reference.implement)
  ])

(annotation
  name: (identifier) @reference.type)

(marker_annotation
  name: (identifier) @reference.type)

(type_identifier) @reference.type

(identifier) @reference.use

(formal_parameter
  name: (identifier) @binding)

(spread_parameter
  (variable_declarator
    name: (identifier) @binding))

(inferred_parameters
  (identifier) @binding)

(lambda_expression
  parameters: (identifier) @binding)

(catch_formal_parameter
  name: (identifier) @binding)

(enhanced_for_statement
  name: (identifier) @binding)

(local_variable_declaration
  declarator: (variable_declarator
    name: (identifier) @binding))

(import_declaration
  [
    (scoped_identifier)
    (identifier)
  ] @import.path)
