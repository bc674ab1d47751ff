;; Answers by its status, as solvers do: writes a line to standard output and to standard error, and the file /out/model,
;; and ends with status 10. With one argument, the file takes 100 KiB. With two, it traps instead; with three, it never ends.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\0e\00\00\00\60\00\00\00\10\00\00\00\80\00\00\00\08\00\00\00")
  (data (i32.const 64) "s SATISFIABLE\n")
  (data (i32.const 96) "as it turns out\n")
  (data (i32.const 128) "v 1 -2 0out/model")
  (func (export "_start") (local $arguments i32)
    ;; The number of arguments besides the program's name.
    (drop (call $sizes (i32.const 32) (i32.const 36)))
    (local.set $arguments (i32.sub (i32.load (i32.const 32)) (i32.const 1)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40)))
    (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 40)))
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 136) (i32.const 9) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 44))
      (then unreachable))
    (drop (call $write (i32.load (i32.const 44)) (i32.const 16) (i32.const 1) (i32.const 40)))
    (if (i32.eq (local.get $arguments) (i32.const 1))
      (then (drop (call $resize (i32.load (i32.const 44)) (i64.const 102400)))))
    (if (i32.eq (local.get $arguments) (i32.const 2)) (then unreachable))
    (if (i32.eq (local.get $arguments) (i32.const 3)) (then (loop $again (br $again))))
    (call $exit (i32.const 10))))
