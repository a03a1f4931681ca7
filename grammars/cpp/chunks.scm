[
  (class_specifier)
  (namespace_definition)
  (template_declaration)
  (alias_declaration)
  (concept_definition)
] @unit
