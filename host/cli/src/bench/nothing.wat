;; A hash plugin that computes nothing: what a call into the sandbox costs by itself. Every answer lies in memory before it is asked for.
(module
  (import "adit:plugin/diagnostics@0.1.0" "panicked" (func (param i32 i32)))
  (memory (export "memory") 1)

  ;; What it is: pointer and length of name, version and summary, the kind between them.
  (data (i32.const 16) "\60\00\00\00\07\00\00\00\70\00\00\00\05\00\00\00\00\00\00\00\80\00\00\00\11\00\00\00")
  ;; Pointer and length of the schema.
  (data (i32.const 48) "\a0\00\00\00\02\00\00\00")
  (data (i32.const 96) "nothing")
  (data (i32.const 112) "0.0.1")
  (data (i32.const 128) "Computes nothing.")
  (data (i32.const 160) "{}")
  ;; From 256 on zeros: a digest, an empty list, "the configuration is good".

  ;; A call has one argument in memory, always at the same place.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))

  (func (export "adit:plugin/plugin@0.1.0#describe") (result i32) (i32.const 16))
  (func (export "adit:plugin/plugin@0.1.0#schema") (result i32) (i32.const 48))
  (func (export "adit:plugin/plugin@0.1.0#configure") (param i32 i32) (result i32) (i32.const 256))
  (func (export "adit:plugin/hash@0.1.0#prepare") (param i64 i64 i64 i64 i64))
  (func (export "adit:plugin/hash@0.1.0#digest") (param i32 i32) (result i32) (i32.const 256))
  (func (export "adit:plugin/hash@0.1.0#digest-many") (param i32 i32 i32) (result i32) (i32.const 256))
  (func (export "adit:plugin/hash@0.1.0#search") (param i32 i32 i64 i64) (result i32) (i32.const 256)))
