; What C++ adds to C.

(template_declaration) @wrapper

(namespace_definition
  name: (_) @name) @definition.module

(class_specifier
  name: (type_identifier) @name
  body: (_)) @definition.class

(class_specifier
  name: (template_type
    name: (type_identifier) @name)
  body: (_)) @definition.class

(struct_specifier
  name: (template_type
    name: (type_identifier) @name)
  body: (_)) @definition.struct

(class_specifier
  name: (qualified_identifier) @qualified
  body: (_)) @definition.class

(struct_specifier
  name: (qualified_identifier) @qualified
  body: (_)) @definition.struct

(alias_declaration
  name: (type_identifier) @name) @definition.type

(concept_definition
  name: (identifier) @name) @definition.trait

(lambda_expression
  body: (_) @local)

; Functions with the names that C does not have.
(function_definition
  declarator: [
    (function_declarator
      declarator: [
        (field_identifier)
        (operator_name)
        (destructor_name)
      ] @name)
    (pointer_declarator
      declarator: (function_declarator
        declarator: [
          (field_identifier)
          (operator_name)
        ] @name))
    (reference_declarator
      (function_declarator
        declarator: [
          (identifier)
          (field_identifier)
          (operator_name)
        ] @name))
  ]) @definition.function

(function_definition
  declarator: [
    (function_declarator
      declarator: (qualified_identifier) @qualified)
    (pointer_declarator
      declarator: (function_declarator
        declarator: (qualified_identifier) @qualified))
    (reference_declarator
      (function_declarator
        declarator: (qualified_identifier) @qualified))
  ]) @definition.method

; Declared in a class, defined elsewhere.
(field_declaration
  declarator: [
    (function_declarator
      declarator: [
        (field_identifier)
        (operator_name)
        (destructor_name)
      ] @name)
    (pointer_declarator
      declarator: (function_declarator
        declarator: [
          (field_identifier)
          (operator_name)
        ] @name))
    (reference_declarator
      (function_declarator
        declarator: [
          (field_identifier)
          (operator_name)
        ] @name))
  ]) @definition.method

(declaration
  declarator: [
    (function_declarator
      declarator: [
        (operator_name)
        (destructor_name)
      ] @name)
    (reference_declarator
      (function_declarator
        declarator: [
          (identifier)
          (operator_name)
        ] @name))
  ]) @definition.function

(field_declaration
  declarator: (reference_declarator
    (field_identifier) @name) @definition.field) @statement

(declaration
  declarator: (init_declarator
    declarator: (qualified_identifier) @qualified) @definition.variable) @statement

(declaration
  declarator: [
    (reference_declarator
      (identifier) @name)
    (init_declarator
      declarator: (reference_declarator
        (identifier) @name))
  ] @definition.variable) @statement
