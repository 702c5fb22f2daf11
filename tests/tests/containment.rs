//! A plugin that never ends, traps or allocates without end does no harm: the caller is told which it was, and the next
//! call works.

use std::num::{NonZeroU64, NonZeroUsize};
use std::thread;
use std::time::{Duration, Instant};

use hookgate::types::{Decision, Head, Request};
use hookgate::{Cache, CallError, CompileError, Gate, Instances, LoadError, Options, Plugin, Secrets, Sha256};
use hookgate_tests::misbehaving::{component, contract, text};

/// What `now` means to the plugin of `plugins/misbehaving.wat`.
const NEVER_ENDS: u64 = 1;
const TRAPS: u64 = 2;
const ALLOCATES: u64 = 3;
const BEHAVES: u64 = 4;
const LEAVES_TRACES: u64 = 5;
const HASHES_LESS_THAN_A_BLOCK: u64 = 6;

const REUSE: Instances = Instances::Reuse { max_calls: NonZeroU64::MAX };

fn options(instances: Instances) -> Options {
    Options {
        instances,
        sha256: Sha256::default(),
        max_concurrency: NonZeroUsize::new(2).unwrap(),
        time_per_call: Duration::from_millis(50),
        time_per_compile: Duration::from_secs(2),
        memory_per_instance: 8 << 20,
        cache: Cache::Off,
    }
}

fn gate(instances: Instances) -> Gate {
    gate_of(&options(instances))
}

/// A gate whose calls may take long, for a machine that has much else to do.
fn patient(instances: Instances) -> Gate {
    gate_of(&Options { time_per_call: Duration::from_secs(60), ..options(instances) })
}

fn gate_of(options: &Options) -> Gate {
    Plugin::from_bytes(&misbehaving(), options).unwrap().compile("{}", &Secrets::new()).unwrap()
}

fn decide(gate: &Gate, now: u64) -> Result<Decision, CallError> {
    gate.decide(&Request { head: Head { method: "POST", path: "/", headers: &[] }, body: b"{}" }, now)
}

#[test]
fn each_failure_has_its_name_and_the_next_call_works() {
    for instances in [REUSE, Instances::Fresh] {
        // Long enough, on a busy machine, for what ends by itself.
        let gate = gate_of(&Options { time_per_call: Duration::from_secs(1), ..options(instances) });
        for _ in 0..3 {
            assert_eq!(decide(&gate, NEVER_ENDS), Err(CallError::TimedOut));
            assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
            assert!(matches!(decide(&gate, TRAPS), Err(CallError::Trapped(_))));
            assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
            assert_eq!(decide(&gate, ALLOCATES), Err(CallError::OutOfMemory));
            assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
        }
    }
}

#[test]
fn what_a_call_leaves_behind_reaches_no_other_where_instances_are_fresh() {
    let reused = patient(REUSE);
    assert_eq!(decide(&reused, LEAVES_TRACES), Ok(Decision::NotOurs));
    assert!(matches!(decide(&reused, LEAVES_TRACES), Err(CallError::Trapped(_))), "the plugin does leave traces");
    let fresh = patient(Instances::Fresh);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(decide(&fresh, LEAVES_TRACES), Ok(Decision::NotOurs))));
        }
    });
}

#[test]
fn instances_are_made_ahead_as_many_as_calls_may_run() {
    let gate = patient(REUSE);
    assert_eq!(gate.instances(), 1, "the one that compiled the policy");
    assert_eq!(gate.warm(), Ok(true));
    assert_eq!(gate.warm(), Ok(false));
    assert_eq!(gate.instances(), 2);
    assert!(decide(&gate, TRAPS).is_err());
    assert_eq!(gate.instances(), 1, "one that trapped is thrown away");
    assert_eq!(gate.warm(), Ok(true));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs))));
        }
    });
    assert_eq!(gate.instances(), 2);
}

#[test]
fn threads_that_make_instances_ahead_make_no_more_together() {
    let options = Options { time_per_call: Duration::from_secs(60), ..options(REUSE) };
    let plugin = Plugin::from_bytes(&misbehaving(), &options).unwrap();
    for _ in 0..50 {
        let gate = plugin.compile("{}", &Secrets::new()).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while gate.warm().unwrap() {});
            }
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs))));
        });
        assert_eq!(gate.instances(), 2);
    }
}

#[test]
fn nothing_waits_where_instances_are_fresh() {
    let gate = patient(Instances::Fresh);
    assert_eq!(gate.warm(), Ok(false));
    assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
    assert_eq!(gate.instances(), 0);
}

#[test]
fn a_call_that_never_ends_is_broken_off_at_its_limit() {
    let gate = gate(REUSE);
    let began = Instant::now();
    assert_eq!(decide(&gate, NEVER_ENDS), Err(CallError::TimedOut));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(50), "broken off after {took:?}, before its limit");
    assert!(took < Duration::from_secs(5), "broken off after {took:?} only");
}

#[test]
fn others_are_served_meanwhile() {
    let gate = gate_of(&Options { time_per_call: Duration::from_secs(2), ..options(REUSE) });
    thread::scope(|scope| {
        let stuck = scope.spawn(|| decide(&gate, NEVER_ENDS));
        while !stuck.is_finished() {
            assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
        }
        assert_eq!(stuck.join().unwrap(), Err(CallError::TimedOut));
    });
}

#[test]
fn more_callers_than_instances_take_turns() {
    for instances in [REUSE, Instances::Fresh] {
        let gate = patient(instances);
        thread::scope(|scope| {
            for caller in 0..8 {
                let gate = &gate;
                scope.spawn(move || {
                    for call in 0..50 {
                        let now = if (caller + call) % 10 == 0 { TRAPS } else { BEHAVES };
                        assert_eq!(decide(gate, now).is_ok(), now == BEHAVES);
                    }
                });
            }
        });
    }
}

#[test]
fn what_the_host_cannot_hash_is_a_trap() {
    let gate = patient(REUSE);
    let Err(CallError::Trapped(why)) = decide(&gate, HASHES_LESS_THAN_A_BLOCK) else { panic!("it traps") };
    assert!(why.contains("blocks of 64 bytes"), "{why}");
    assert_eq!(decide(&gate, BEHAVES), Ok(Decision::NotOurs));
}

#[test]
fn memories_are_counted_together() {
    // Of 8 MiB each of two would get 6.25.
    let two =
        text().replace(r#"(memory (export "memory") 2)"#, r#"(memory (export "memory") 2) (memory $other 2)"#).replace(
            "(drop (memory.grow (i32.const 16))) (br $more)",
            "(drop (memory.grow (i32.const 1))) (drop (memory.grow $other (i32.const 1)))
            (br_if $more (i32.lt_u (memory.size) (i32.const 100)))",
        );
    let options = Options { time_per_call: Duration::from_secs(60), ..options(REUSE) };
    let gate = Plugin::from_bytes(&plugin_of(&two), &options).unwrap().compile("{}", &Secrets::new()).unwrap();
    assert_eq!(decide(&gate, ALLOCATES), Err(CallError::OutOfMemory));
}

#[test]
fn compiling_is_limited_too() {
    let plugin = Plugin::from_bytes(&misbehaving(), &options(REUSE)).unwrap();
    let compile = |policy| plugin.compile(policy, &Secrets::new()).err();
    assert_eq!(compile("L"), Some(CompileError::Call(CallError::TimedOut)));
    assert!(matches!(compile("T"), Some(CompileError::Call(CallError::Trapped(_)))));
    assert_eq!(compile("{}"), None);
}

#[test]
fn a_plugin_that_fills_its_memory_while_it_compiles_leaves_none_to_copy_it() {
    let compile = |instances, pages: u8| {
        let plugin = Plugin::from_bytes(&misbehaving(), &options(instances)).unwrap();
        plugin.compile(&format!("G{}", char::from(pages)), &Secrets::new()).err()
    };
    // It may have 128 pages and begins with two. Copying takes one.
    assert_eq!(compile(REUSE, 126), None);
    assert_eq!(compile(Instances::Fresh, 125), None);
    assert_eq!(compile(Instances::Fresh, 126), Some(CompileError::Call(CallError::OutOfMemory)));
}

#[test]
fn a_plugin_without_room_is_not_said_to_be_none() {
    let options = Options { memory_per_instance: 64 << 10, ..options(REUSE) };
    let Err(LoadError::Engine(why)) = Plugin::from_bytes(&misbehaving(), &options) else {
        panic!("it needs two pages")
    };
    assert!(why.contains("memory_per_instance"), "{why}");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let options = options(REUSE);
    let bytes = [&b"\0asm"[..], b"\x01\0\0\0", b"\0asm\x0d\0\x01\0", b"nonsense", b""];
    for bytes in bytes {
        assert!(matches!(Plugin::from_bytes(bytes, &options), Err(LoadError::NotAPlugin(_))), "{bytes:?}");
    }
    let importing = wat::parse_str(r#"(component (import "now" (func)))"#).unwrap();
    assert!(matches!(Plugin::from_bytes(&importing, &options), Err(LoadError::NotAPlugin(_))));
    let names = "-> result<list<string>, list<policy-error>>";
    assert!(contract().contains(names));
    let other_type = component(&text(), &contract().replace(names, "-> result<list<string>, string>"));
    assert!(matches!(Plugin::from_bytes(&other_type, &options), Err(LoadError::NotAPlugin(_))));
    let missing = Plugin::from_file("plugins/there-is-none.wasm", &options);
    assert!(matches!(missing, Err(LoadError::Unreadable { .. })));
}

fn misbehaving() -> Vec<u8> {
    plugin_of(&text())
}

/// A module as a component of our contract.
fn plugin_of(text: &str) -> Vec<u8> {
    component(text, &contract())
}
