(line_comment) @comment

(block_comment) @comment

(attribute_item) @attribute

(mod_item
  name: (identifier) @name) @definition.module

(struct_item
  name: (type_identifier) @name) @definition.struct

(union_item
  name: (type_identifier) @name) @definition.struct

(enum_item
  name: (type_identifier) @name) @definition.enum

(enum_variant
  name: (identifier) @name) @definition.variant

(trait_item
  name: (type_identifier) @name) @definition.trait

; What is implemented for a type belongs to the type, whatever trait asks for it.
(impl_item
  type: (_) @name) @scope

; Becomes a method by where it stands.
(function_item
  name: (identifier) @name) @definition.function

(function_item
  body: (block) @local)

(function_signature_item
  name: (identifier) @name) @definition.function

(type_item
  name: (type_identifier) @name) @definition.type

(associated_type
  name: (type_identifier) @name) @definition.type

(const_item
  name: (identifier) @name) @definition.constant

(static_item
  name: (identifier) @name) @definition.variable

(macro_definition
  name: (identifier) @name) @definition.macro

(field_declaration
  name: (field_identifier) @name) @definition.field
