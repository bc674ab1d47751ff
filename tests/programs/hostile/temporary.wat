;; Makes a temporary file longer and longer; traps once that is refused.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $size (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "tmp/file")
  (func (export "_start") (local $bytes i64)
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))
      (then unreachable))
    (loop $more
      (local.set $bytes (i64.add (local.get $bytes) (i64.const 1048576)))
      (if (call $size (i32.load (i32.const 16)) (local.get $bytes)) (then unreachable))
      (br $more))))
