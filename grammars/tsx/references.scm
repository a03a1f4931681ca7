; In small letters it is an element of the page.
((jsx_opening_element
  name: (identifier) @reference.call)
  (#match? @reference.call "^[A-Z]"))

((jsx_self_closing_element
  name: (identifier) @reference.call)
  (#match? @reference.call "^[A-Z]"))
