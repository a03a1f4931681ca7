; What JavaScript, TypeScript and TSX have in common.

(comment) @comment

(decorator) @attribute

(export_statement) @wrapper

(lexical_declaration) @wrapper

(variable_declaration) @wrapper

(expression_statement) @wrapper

(function_declaration
  name: (identifier) @name) @definition.function

(generator_function_declaration
  name: (identifier) @name) @definition.function

(class_declaration
  name: (_) @name) @definition.class

(method_definition
  name: [
    (property_identifier)
    (private_property_identifier)
  ] @name) @definition.method

; A function or class is what its variable is called.
(variable_declarator
  name: (identifier) @name
  value: [
    (arrow_function)
    (function_expression)
    (generator_function)
  ]) @definition.function

(variable_declarator
  name: (identifier) @name
  value: (class)) @definition.class

(lexical_declaration
  kind: "const"
  (variable_declarator
    name: (identifier) @name) @definition.constant)

(variable_declarator
  name: (identifier) @name) @definition.variable

; Names taken out of an object, other than imports.
((variable_declarator
  name: (object_pattern
    [
      (shorthand_property_identifier_pattern) @name
      (pair_pattern
        value: (identifier) @name)
    ])
  value: (_) @_value) @definition.variable
  (#not-match? @_value "^(await )?(require|import)\\b"))

; Methods of an object, and what is hung on one from outside.
(pair
  key: (property_identifier) @name
  value: [
    (arrow_function)
    (function_expression)
    (generator_function)
  ]) @definition.method

; What a module is as a whole goes by the name that it has inside.
(expression_statement
  (assignment_expression
    left: (member_expression) @_exports
    right: [
      (function_expression
        name: (identifier) @name)
      (generator_function
        name: (identifier) @name)
    ]) @definition.function
  (#eq? @_exports "module.exports"))

(expression_statement
  (assignment_expression
    left: (member_expression
      object: (_) @_exports
      property: (property_identifier) @name)
    right: [
      (arrow_function)
      (function_expression)
      (generator_function)
    ]) @definition.function
  (#match? @_exports "^(module\\.)?exports$"))

(expression_statement
  (assignment_expression
    left: (member_expression
      object: (member_expression
        object: (_) @container
        property: (property_identifier) @_prototype)
      property: (property_identifier) @name)
    right: [
      (arrow_function)
      (function_expression)
      (generator_function)
    ]) @definition.method
  (#eq? @_prototype "prototype"))

(expression_statement
  (assignment_expression
    left: (member_expression
      object: (_) @container
      property: (property_identifier) @name) @_exports
    right: [
      (arrow_function)
      (function_expression
        !name)
      (generator_function
        !name)
    ]) @definition.function
  (#eq? @_exports "module.exports"))

(expression_statement
  (assignment_expression
    left: (member_expression
      object: (_) @container
      property: (property_identifier) @name) @_other
    right: [
      (arrow_function)
      (function_expression)
      (generator_function)
    ]) @definition.function
  (#not-eq? @_other "module.exports"))

; What is declared in a function is seen by nobody outside.
(function_declaration
  body: (_) @local)

(generator_function_declaration
  body: (_) @local)

(function_expression
  body: (_) @local)

(generator_function
  body: (_) @local)

(arrow_function
  body: (_) @local)

(method_definition
  body: (_) @local)
