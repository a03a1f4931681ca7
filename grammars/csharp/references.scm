(invocation_expression
  function: [
    (identifier) @reference.call
    (generic_name
      (identifier) @reference.call)
    (member_access_expression
      name: [
        (identifier) @reference.call
        (generic_name
          (identifier) @reference.call)
      ])
    (conditional_access_expression
      (member_binding_expression
        name: (identifier) @reference.call))
  ])

(object_creation_expression
  type: [
    (identifier) @reference.call
    (generic_name
      (identifier) @reference.call)
    (qualified_name
      name: (identifier) @reference.call)
  ])

(base_list
  [
    (identifier) @reference.implement
    (generic_name
      (identifier) @reference.implement)
    (qualified_name
      name: (identifier) @reference.implement)
  ])

(attribute
  name: (identifier) @reference.type)

(variable_declaration
  type: [
    (identifier) @reference.type
    (generic_name
      (identifier) @reference.type)
    (nullable_type
      type: (identifier) @reference.type)
  ])

(parameter
  type: [
    (identifier) @reference.type
    (generic_name
      (identifier) @reference.type)
    (nullable_type
      type: (identifier) @reference.type)
  ])

(property_declaration
  type: [
    (identifier) @reference.type
    (generic_name
      (identifier) @reference.type)
    (nullable_type
      type: (identifier) @reference.type)
  ])

(method_declaration
  returns: [
    (identifier) @reference.type
    (generic_name
      (identifier) @reference.type)
    (nullable_type
      type: (identifier) @reference.type)
  ])

(type_argument_list
  (identifier) @reference.type)

(identifier) @reference.use

(parameter
  name: (identifier) @binding)

(variable_declarator
  name: (identifier) @binding)

(foreach_statement
  left: (identifier) @binding)

(catch_declaration
  name: (identifier) @binding)

(lambda_expression
  parameters: (implicit_parameter) @binding)

(using_directive
  [
    (qualified_name)
    (identifier)
  ] @import.path .)
