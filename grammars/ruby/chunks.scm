[
  (module)
  (class)
  (singleton_class)
  (method)
  (singleton_method)
] @unit

; `task "build" do … end`, `describe "counter" do … end`
(program
  (call
    block: (_)) @unit)
