[
  (namespace_declaration)
  (class_declaration)
  (record_declaration)
  (struct_declaration)
  (interface_declaration)
  (enum_declaration)
  (method_declaration)
  (constructor_declaration)
  (property_declaration)
] @unit
