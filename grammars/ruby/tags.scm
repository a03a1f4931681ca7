(comment) @comment

(module
  name: (_) @qualified) @definition.module

(class
  name: (_) @qualified) @definition.class

; `def self.name`, and what stands in a module.
(singleton_method
  name: (_) @name) @definition.method

(module
  body: (body_statement
    (method
      name: (_) @name) @definition.method))

(method
  name: (_) @name) @definition.function

(method
  body: (_) @local)

(assignment
  left: (constant) @name) @definition.constant

(alias
  name: (_) @name) @definition.method

(call
  method: (identifier) @_alias
  arguments: (argument_list
    .
    (simple_symbol) @name)
  (#eq? @_alias "alias_method")) @definition.method

(call
  method: (identifier) @_attribute
  arguments: (argument_list
    (simple_symbol) @name @definition.field)
  (#match? @_attribute "^attr_(reader|writer|accessor)$"))
