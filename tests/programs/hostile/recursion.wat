;; Calls itself without end.
(module
  (memory (export "memory") 1)
  (func $again (export "_start") (call $again) (call $again)))
