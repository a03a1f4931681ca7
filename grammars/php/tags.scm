(comment) @comment

; Without a body a namespace holds what follows it.
(namespace_definition
  name: (namespace_name) @name) @definition.module

(class_declaration
  name: (name) @name) @definition.class

(interface_declaration
  name: (name) @name) @definition.interface

(trait_declaration
  name: (name) @name) @definition.trait

(enum_declaration
  name: (name) @name) @definition.enum

(enum_case
  name: (name) @name) @definition.variant

(function_definition
  name: (name) @name) @definition.function

(method_declaration
  name: (name) @name) @definition.method

(property_declaration
  (property_element
    name: (variable_name
      (name) @name))) @definition.field

; A parameter of a constructor that is a field too.
(property_promotion_parameter
  name: (variable_name
    (name) @name)) @definition.field

(const_declaration
  (const_element
    .
    (name) @name)) @definition.constant

(function_call_expression
  function: (name) @_define
  arguments: (arguments
    .
    (argument
      (_
        (string_content) @name)))
  (#eq? @_define "define")) @definition.constant
