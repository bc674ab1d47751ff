;; Never ends, and not in its command but while it is being instantiated.
(module
  (memory (export "memory") 1)
  (func $start (loop $more (br $more)))
  (start $start)
  (func (export "_start")))
