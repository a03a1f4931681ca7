(call_expression
  function: [
    (identifier) @reference.call
    (selector_expression
      field: (field_identifier) @reference.call)
  ])

; What is embedded gives its methods.
(field_declaration
  !name
  type: [
    (type_identifier) @reference.implement
    (qualified_type
      name: (type_identifier) @reference.implement)
    (generic_type
      type: (type_identifier) @reference.implement)
  ])

(type_elem
  (type_identifier) @reference.implement)

(type_identifier) @reference.type

(identifier) @reference.use

(field_identifier) @reference.use

(parameter_declaration
  name: (identifier) @binding)

(variadic_parameter_declaration
  name: (identifier) @binding)

(short_var_declaration
  left: (expression_list
    (identifier) @binding))

(range_clause
  left: (expression_list
    (identifier) @binding))

(var_spec
  name: (identifier) @binding)

(import_spec
  path: (_) @import.path)
