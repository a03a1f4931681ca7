(call_expression
  function: [
    (qualified_identifier
      name: [
        (identifier) @reference.call
        (template_function
          name: (identifier) @reference.call)
        (qualified_identifier
          name: (identifier) @reference.call)
      ])
    (template_function
      name: (identifier) @reference.call)
    (field_expression
      field: (template_method
        name: (field_identifier) @reference.call))
  ])

(new_expression
  type: (type_identifier) @reference.call)

(base_class_clause
  [
    (type_identifier) @reference.implement
    (qualified_identifier
      name: (type_identifier) @reference.implement)
    (template_type
      name: (type_identifier) @reference.implement)
  ])

(parameter_declaration
  declarator: (reference_declarator
    (identifier) @binding))

(for_range_loop
  declarator: (_
    (identifier) @binding))
