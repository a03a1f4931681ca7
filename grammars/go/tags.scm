(comment) @comment

; A declaration of one name includes its keyword.
(type_declaration) @wrapper

(const_declaration) @wrapper

(var_declaration) @wrapper

(function_declaration
  name: (identifier) @name) @definition.function

(function_declaration
  body: (block) @local)

(func_literal
  body: (block) @local)

(method_declaration
  receiver: (parameter_list
    (parameter_declaration
      type: [
        (type_identifier) @container
        (generic_type
          type: (type_identifier) @container)
        (pointer_type
          (type_identifier) @container)
        (pointer_type
          (generic_type
            type: (type_identifier) @container))
      ]))
  name: (field_identifier) @name) @definition.method

(method_declaration
  body: (block) @local)

(type_spec
  name: (type_identifier) @name
  type: (struct_type)) @definition.struct

(type_spec
  name: (type_identifier) @name
  type: (interface_type)) @definition.interface

(type_spec
  name: (type_identifier) @name) @definition.type

(type_alias
  name: (type_identifier) @name) @definition.type

(field_declaration
  name: (field_identifier) @name) @definition.field

; An embedded type is a field of the same name.
(field_declaration
  !name
  type: [
    (type_identifier) @name
    (qualified_type
      name: (type_identifier) @name)
    (generic_type
      type: (type_identifier) @name)
  ]) @definition.field

(method_elem
  name: (field_identifier) @name) @definition.method

(const_spec
  name: (identifier) @name) @definition.constant

(var_spec
  name: (identifier) @name) @definition.variable
