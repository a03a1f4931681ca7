(comment) @comment

(preproc_def
  name: (identifier) @name) @definition.macro

(preproc_function_def
  name: (identifier) @name) @definition.macro

; In a declarator the name lies under stars, brackets and parameters.
(function_definition
  declarator: (_) @declarator) @definition.function

(function_definition
  body: (_) @local)

; A structure is what its typedef calls it when it has no name of its own.
(type_definition
  type: (struct_specifier
    !name
    body: (_))
  declarator: (type_identifier) @name) @definition.struct

(type_definition
  type: (union_specifier
    !name
    body: (_))
  declarator: (type_identifier) @name) @definition.struct

(type_definition
  type: (enum_specifier
    !name
    body: (_))
  declarator: (type_identifier) @name) @definition.enum

(struct_specifier
  name: (type_identifier) @name
  body: (_)) @definition.struct

(union_specifier
  name: (type_identifier) @name
  body: (_)) @definition.struct

(enum_specifier
  name: (type_identifier) @name
  body: (_)) @definition.enum

(enumerator
  name: (identifier) @name) @definition.variant

(type_definition
  declarator: (_) @declarator @definition.type) @statement

(field_declaration
  declarator: (_) @declarator @definition.field) @statement

; A function where the declarator is one.
(declaration
  declarator: (_) @declarator @definition.variable) @statement
