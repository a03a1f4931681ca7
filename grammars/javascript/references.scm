(class_heritage
  [
    (identifier) @reference.implement
    (member_expression
      property: (property_identifier) @reference.implement)
  ])

(formal_parameters
  [
    (identifier) @binding
    (assignment_pattern
      left: (identifier) @binding)
    (rest_pattern
      (identifier) @binding)
  ])

; In small letters it is an element of the page.
((jsx_opening_element
  name: (identifier) @reference.call)
  (#match? @reference.call "^[A-Z]"))

((jsx_self_closing_element
  name: (identifier) @reference.call)
  (#match? @reference.call "^[A-Z]"))
