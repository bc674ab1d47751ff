;; Opens one file again and again without closing it; exits 4 once that is refused.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "tmp/file")
  (func (export "_start")
    (loop $more
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1)
            (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))
        (then (call $exit (i32.const 4))))
      (br $more))))
