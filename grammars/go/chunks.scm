[
  (function_declaration)
  (method_declaration)
  (type_declaration)
] @unit
