(command
  name: (command_name
    (word) @reference.call))

(simple_expansion
  (variable_name) @reference.use)

(expansion
  (variable_name) @reference.use)

(command
  name: (command_name
    (word) @_source)
  .
  argument: [
    (word)
    (string)
  ] @import.path
  (#match? @_source "^(source|\\.)$"))
