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
