[
  (function_definition)
  (struct_specifier)
  (union_specifier)
  (enum_specifier)
  (type_definition)
  (preproc_function_def)
] @unit
