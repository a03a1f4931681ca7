(comment) @comment

(decorated_definition) @wrapper

(class_definition
  name: (identifier) @name) @definition.class

(function_definition
  name: (identifier) @name) @definition.function

(lambda) @local

; A name in capitals is a constant by convention.
(expression_statement
  (assignment
    left: (identifier) @name) @definition.constant
  (#match? @name "^_*[A-Z][A-Z0-9_]*$"))

(expression_statement
  (assignment
    left: (identifier) @name) @definition.variable)

(expression_statement
  (assignment
    left: (pattern_list
      (identifier) @name))) @definition.variable

(expression_statement
  (assignment
    left: (identifier)
    right: (assignment
      left: (identifier) @name))) @definition.variable

(type_alias_statement
  left: (type
    (identifier) @name)) @definition.type

(type_alias_statement
  left: (type
    (generic_type
      (identifier) @name))) @definition.type
