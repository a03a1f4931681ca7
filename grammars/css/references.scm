(import_statement
  (string_value) @import.path)

(import_statement
  (call_expression
    (arguments
      (_) @import.path)))

(plain_value) @reference.use
