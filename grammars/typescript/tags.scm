; What TypeScript adds to JavaScript.

(ambient_declaration) @wrapper

(abstract_class_declaration
  name: (type_identifier) @name) @definition.class

(interface_declaration
  name: (type_identifier) @name) @definition.interface

(type_alias_declaration
  name: (type_identifier) @name) @definition.type

(enum_declaration
  name: (identifier) @name) @definition.enum

(enum_body
  name: (property_identifier) @name @definition.variant)

(enum_assignment
  name: (property_identifier) @name) @definition.variant

(internal_module
  name: (_) @name) @definition.module

(module
  name: [
    (identifier) @name
    (nested_identifier) @name
    (string
      (string_fragment) @name)
  ]) @definition.module

; A parameter of a constructor that is a field too.
(required_parameter
  (accessibility_modifier)
  pattern: (identifier) @name) @definition.field

; An overload, or a declaration without a body.
(function_signature
  name: (identifier) @name) @definition.function

(abstract_method_signature
  name: (property_identifier) @name) @definition.method

(class_body
  (method_signature
    name: (property_identifier) @name) @definition.method)

(interface_body
  (method_signature
    name: (property_identifier) @name) @definition.method)

(interface_body
  (property_signature
    name: (property_identifier) @name) @definition.field)

; The members of an object type are those of the name that it is given.
(type_alias_declaration
  value: (object_type
    (property_signature
      name: (property_identifier) @name) @definition.field))

(type_alias_declaration
  value: (object_type
    (method_signature
      name: (property_identifier) @name) @definition.method))

(public_field_definition
  name: [
    (property_identifier)
    (private_property_identifier)
  ] @name
  value: (arrow_function)) @definition.method

(public_field_definition
  name: [
    (property_identifier)
    (private_property_identifier)
  ] @name) @definition.field
