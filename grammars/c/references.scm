(call_expression
  function: [
    (identifier) @reference.call
    (field_expression
      field: (field_identifier) @reference.call)
  ])

(type_identifier) @reference.type

(identifier) @reference.use

(field_identifier) @reference.use

(parameter_declaration
  declarator: [
    (identifier) @binding
    (pointer_declarator
      declarator: (identifier) @binding)
    (array_declarator
      declarator: (identifier) @binding)
  ])

(declaration
  declarator: [
    (identifier) @binding
    (pointer_declarator
      declarator: (identifier) @binding)
    (init_declarator
      declarator: [
        (identifier) @binding
        (pointer_declarator
          declarator: (identifier) @binding)
        (array_declarator
          declarator: (identifier) @binding)
      ])
  ])

(preproc_include
  path: (_) @import.path)
