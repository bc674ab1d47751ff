;; Returns at once. The smallest program there is.
(module (func (export "_start")))
