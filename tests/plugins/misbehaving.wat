;; A plugin that takes every policy, and whose `decide` does what `now` says:
;; 1 never ends, 2 traps, 3 allocates without end, 5 traps if the instance was asked that before, 6 has the host hash less than
;; a block, anything else answers not-ours.
;; A policy that begins with `L` is compiled for ever, one that begins with `T` traps, and for one that begins with `G` the memory
;; grows by as many pages as the next byte says.
(module
  (import "[export]hookgate:kapso/gate@0.1.0" "[resource-new]gate" (func $new (param i32) (result i32)))

  (import "hookgate:kapso/sha256@0.1.0" "compress"
    (func $compress (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))

  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))

  ;; Forgets everything whenever it would run past its two pages.
  (func (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32)
    (if (i32.gt_u (i32.add (global.get $free) (local.get $len)) (i32.const 131000))
      (then (global.set $free (i32.const 65536))))
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $len)))
    (local.get $at))

  (func (export "hookgate:kapso/gate@0.1.0#[static]gate.compile")
    (param $policy i32) (param $policy_len i32) (param $secrets i32) (param $secrets_len i32) (result i32)
    (if (i32.eq (i32.load8_u (local.get $policy)) (i32.const 76)) (then (loop $for_ever (br $for_ever))))
    (if (i32.eq (i32.load8_u (local.get $policy)) (i32.const 84)) (then (unreachable)))
    (if (i32.eq (i32.load8_u (local.get $policy)) (i32.const 71))
      (then (drop (memory.grow (i32.load8_u offset=1 (local.get $policy))))))
    (i32.store8 (i32.const 0) (i32.const 0))
    (i32.store (i32.const 4) (call $new (i32.const 1)))
    (i32.const 0))

  (func (export "hookgate:kapso/gate@0.1.0#[static]gate.compiled") (result i32)
    (i32.store8 (i32.const 0) (i32.const 1))
    (i32.store (i32.const 4) (call $new (i32.const 1)))
    (i32.const 0))

  ;; No sources, no targets, zeros; `settle` says the same, and so does `secret-names`: there are none.
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.settings") (param $this i32) (result i32)
    (i32.const 1024))

  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.decide")
    (param $this i32) (param $method i32) (param $method_len i32) (param $path i32) (param $path_len i32)
    (param $headers i32) (param $headers_len i32) (param $body i32) (param $body_len i32) (param $now i64) (result i32)
    (if (i64.eq (local.get $now) (i64.const 1)) (then (loop $for_ever (br $for_ever))))
    (if (i64.eq (local.get $now) (i64.const 2)) (then (unreachable)))
    (if (i64.eq (local.get $now) (i64.const 3))
      (then (loop $more (drop (memory.grow (i32.const 16))) (br $more))))
    (if (i64.eq (local.get $now) (i64.const 5))
      (then
        (if (i32.load (i32.const 3072)) (then (unreachable)))
        (i32.store (i32.const 3072) (i32.const 1))))
    (if (i64.eq (local.get $now) (i64.const 6))
      (then
        (call $compress
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.const 1024) (i32.const 63) (i32.const 3072))))
    (i32.const 2048))

  (func (export "hookgate:kapso/gate@0.1.0#[static]gate.secret-names") (param i32 i32) (result i32) (i32.const 1024))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.admit") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.too-large") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.verify")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32) (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.parse") (param i32 i32 i32 i32 i32) (result i32) (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.route") (param i32) (result i32) (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.narrow")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable))
  (func (export "hookgate:kapso/gate@0.1.0#[method]gate.settle") (param i32 i32 i32) (result i32) (i32.const 1024)))
