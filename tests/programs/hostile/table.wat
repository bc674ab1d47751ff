;; Grows a table until that is refused, and goes on for ever.
(module
  (table $t 1 funcref)
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $more
      (drop (table.grow $t (ref.null func) (i32.const 65536)))
      (br $more))))
