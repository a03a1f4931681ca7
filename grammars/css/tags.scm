(comment) @comment

(class_selector
  (class_name) @name) @definition.class

(id_selector
  (id_name) @name) @definition.field

(keyframes_statement
  (keyframes_name) @name) @definition.function

; A custom property.
(declaration
  (property_name) @name
  (#match? @name "^--")) @definition.variable
