(comment) @comment

(preproc_def
  name: (identifier) @name) @definition.macro

(preproc_function_def
  name: (identifier) @name) @definition.macro

; The declarator of a function lies under one for each star of its result.
(function_definition
  declarator: [
    (function_declarator
      declarator: (identifier) @name)
    (pointer_declarator
      declarator: (function_declarator
        declarator: (identifier) @name))
    (pointer_declarator
      declarator: (pointer_declarator
        declarator: (function_declarator
          declarator: (identifier) @name)))
  ]) @definition.function

(function_definition
  body: (_) @local)

(declaration
  declarator: [
    (function_declarator
      declarator: (identifier) @name)
    (pointer_declarator
      declarator: (function_declarator
        declarator: (identifier) @name))
    (pointer_declarator
      declarator: (pointer_declarator
        declarator: (function_declarator
          declarator: (identifier) @name)))
  ]) @definition.function

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
  declarator: [
    (type_identifier) @name
    (pointer_declarator
      declarator: (type_identifier) @name)
    (array_declarator
      declarator: (type_identifier) @name)
    (function_declarator
      declarator: (parenthesized_declarator
        (pointer_declarator
          declarator: (type_identifier) @name)))
    (function_declarator
      declarator: (type_identifier) @name)
  ] @definition.type) @statement

(field_declaration
  declarator: [
    (field_identifier) @name
    (pointer_declarator
      declarator: (field_identifier) @name)
    (pointer_declarator
      declarator: (pointer_declarator
        declarator: (field_identifier) @name))
    (array_declarator
      declarator: (field_identifier) @name)
    (array_declarator
      declarator: (array_declarator
        declarator: (field_identifier) @name))
    (pointer_declarator
      declarator: (array_declarator
        declarator: (field_identifier) @name))
    (function_declarator
      declarator: (parenthesized_declarator
        (pointer_declarator
          declarator: (field_identifier) @name)))
  ] @definition.field) @statement

(declaration
  declarator: [
    (identifier) @name
    (pointer_declarator
      declarator: (identifier) @name)
    (array_declarator
      declarator: (identifier) @name)
    (init_declarator
      declarator: (identifier) @name)
    (init_declarator
      declarator: (pointer_declarator
        declarator: (identifier) @name))
    (init_declarator
      declarator: (array_declarator
        declarator: (identifier) @name))
    (init_declarator
      declarator: (pointer_declarator
        declarator: (array_declarator
          declarator: (identifier) @name)))
    (init_declarator
      declarator: (array_declarator
        declarator: (array_declarator
          declarator: (identifier) @name)))
  ] @definition.variable) @statement
