;; Does what must not be done.
(module (func (export "_start") unreachable))
