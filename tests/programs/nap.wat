;; Sleeps for a fifth of a second without using the processor.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    ;; A subscription at address 0. All its bytes are zero except these: the monotonic clock, and the wait in nanoseconds.
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 200000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)))))
