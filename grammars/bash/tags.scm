(comment) @comment

(function_definition
  name: (word) @name) @definition.function

(function_definition
  body: (_) @local)

; `readonly A=1`, `export B=2`
(declaration_command
  "readonly"
  (variable_assignment
    name: (variable_name) @name)) @definition.constant

(declaration_command
  (variable_assignment
    name: (variable_name) @name)) @definition.variable

(program
  (variable_assignment
    name: (variable_name) @name) @definition.variable)

; `alias ll='ls -l' la='ls -a'`
(command
  name: (command_name
    (word) @_alias)
  argument: [
    (word) @assigned
    (concatenation
      .
      (word) @assigned)
  ]
  (#eq? @_alias "alias")) @definition.macro
