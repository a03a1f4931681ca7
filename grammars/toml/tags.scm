(comment) @comment

(table
  .
  "["
  .
  [
    (bare_key)
    (dotted_key)
    (quoted_key)
  ] @name) @definition.module

(table_array_element
  .
  "[["
  .
  [
    (bare_key)
    (dotted_key)
    (quoted_key)
  ] @name) @definition.module

(document
  (pair
    .
    [
      (bare_key)
      (dotted_key)
      (quoted_key)
    ] @name) @definition.field)

(table
  (pair
    .
    [
      (bare_key)
      (dotted_key)
      (quoted_key)
    ] @name) @definition.field)

(table_array_element
  (pair
    .
    [
      (bare_key)
      (dotted_key)
      (quoted_key)
    ] @name) @definition.field)
