(call
  method: [
    (identifier)
    (constant)
  ] @reference.call)

(superclass
  [
    (constant) @reference.implement
    (scope_resolution
      name: (constant) @reference.implement)
  ])

(call
  method: (identifier) @_include
  arguments: (argument_list
    [
      (constant) @reference.implement
      (scope_resolution
        name: (constant) @reference.implement)
    ])
  (#match? @_include "^(include|extend|prepend)$"))

(constant) @reference.type

(identifier) @reference.use

(method_parameters
  [
    (identifier) @binding
    (optional_parameter
      name: (identifier) @binding)
    (keyword_parameter
      name: (identifier) @binding)
    (splat_parameter
      name: (identifier) @binding)
    (hash_splat_parameter
      name: (identifier) @binding)
    (block_parameter
      name: (identifier) @binding)
  ])

(block_parameters
  (identifier) @binding)

(assignment
  left: (identifier) @binding)

(call
  method: (identifier) @_require
  arguments: (argument_list
    .
    (string
      (string_content) @import.path))
  (#match? @_require "^(require|require_relative|load)$"))
