[
  (mod_item)
  (struct_item)
  (union_item)
  (enum_item)
  (trait_item)
  (impl_item)
  (function_item)
  (macro_definition)
  (foreign_mod_item)
] @unit
