[
  (function_declaration)
  (generator_function_declaration)
  (class_declaration)
  (method_definition)
  (export_statement)
] @unit

; `const f = () => …`, `describe("…", () => …)`
(program
  [
    (lexical_declaration)
    (variable_declaration)
    (expression_statement)
  ] @unit)
