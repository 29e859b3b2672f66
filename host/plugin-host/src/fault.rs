//! Which failures are the plugin's and which are this machine's.

use adit_primitives::engine::FaultClass;
use wasmtime::{Trap, WasmBacktrace};

/// What the host refused a plugin during a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it asks for {bytes} bytes of memory, {max} are allowed")]
    Memory { bytes: usize, max: usize },
    #[error("it asks for {elements} table elements, {max} are allowed")]
    Table { elements: usize, max: usize },
    #[error("this machine gave no memory: {detail}")]
    System { detail: String },
    #[error("it asked for the chain in a call that has none to show")]
    NoView,
    #[error("it read more than {max} blocks in one call")]
    Blocks { max: u64 },
    #[error("it read more than {max} bytes of blocks in one call")]
    Bytes { max: u64 },
    #[error("it asked for blocks of more than {max} bytes at once")]
    Answer { max: usize },
    #[error("it asked for {rows} rows at once, {max} are allowed")]
    Rows { rows: usize, max: usize },
    #[error("its question to the host does not decode: {detail}")]
    Question { detail: String },
}

impl Refusal {
    fn class(&self) -> FaultClass {
        match self {
            Self::Memory { .. } | Self::Table { .. } | Self::System { .. } => FaultClass::Environment,
            Self::NoView
            | Self::Blocks { .. }
            | Self::Bytes { .. }
            | Self::Answer { .. }
            | Self::Rows { .. }
            | Self::Question { .. } => FaultClass::Plugin,
        }
    }
}

/// Says whether a trap would happen everywhere. A kind that nobody has classified is this machine's.
pub(crate) fn class_of_trap(trap: Trap) -> FaultClass {
    classified(trap).unwrap_or(FaultClass::Environment)
}

fn classified(trap: Trap) -> Option<FaultClass> {
    let class = match trap {
        Trap::MemoryOutOfBounds
        | Trap::HeapMisaligned
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::IntegerOverflow
        | Trap::IntegerDivisionByZero
        | Trap::BadConversionToInteger
        | Trap::UnreachableCodeReached
        | Trap::OutOfFuel
        | Trap::NullReference
        | Trap::CannotLeaveComponent
        | Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer => FaultClass::Plugin,

        // How deep a stack goes depends on the machine code, and when the watchdog barks on the clock.
        Trap::StackOverflow | Trap::Interrupt => FaultClass::Environment,

        // Of features that are off: reaching one would be an error of the engine, not of the plugin.
        Trap::AtomicWaitNonSharedMemory
        | Trap::ArrayOutOfBounds
        | Trap::AllocationTooLarge
        | Trap::CastFailure
        | Trap::CannotEnterComponent
        | Trap::NoAsyncResult
        | Trap::UnhandledTag
        | Trap::ContinuationAlreadyConsumed
        | Trap::DisabledOpcode
        | Trap::AsyncDeadlock
        | Trap::CannotBlockSyncTask
        | Trap::DebugAssertStringEncodingFinished
        | Trap::DebugAssertEqualCodeUnits
        | Trap::DebugAssertPointerAligned
        | Trap::DebugAssertUpperBitsUnset
        | Trap::TaskCancelNotCancelled
        | Trap::TaskCancelOrReturnTwice
        | Trap::SubtaskCancelAfterTerminal
        | Trap::TaskReturnInvalid
        | Trap::WaitableSetDropHasWaiters
        | Trap::SubtaskDropNotResolved
        | Trap::ThreadNewIndirectInvalidType
        | Trap::ThreadNewIndirectUninitialized
        | Trap::BackpressureOverflow
        | Trap::UnsupportedCallbackCode
        | Trap::CannotResumeThread
        | Trap::ConcurrentFutureStreamOp
        | Trap::ReferenceCountOverflow
        | Trap::StreamOpTooBig
        | Trap::WaitableSyncAndAsync
        | Trap::UncaughtException => FaultClass::Environment,
        _ => return None,
    };
    Some(class)
}

/// What the engine says when an answer breaks the component model's rules: these errors have no type to ask for.
/// The tests hold each of them against the engine.
const BROKEN_ANSWERS: [&str; 9] = [
    "too much data is being copied between the host and the guest",
    "pointer/length out of bounds of memory",
    "pointer out of bounds of memory",
    "pointer not aligned",
    "pointer is not aligned",
    "realloc return",
    "invalid utf-8",
    "invalid expected discriminant",
    "invalid option discriminant",
];

/// Says whose failure an error of the engine is, and what a user should read.
pub(crate) fn classify(error: &wasmtime::Error) -> (FaultClass, String) {
    let place = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return (refusal.class(), format!("{refusal}{place}"));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return (class_of_trap(*trap), format!("{trap}{place}"));
    }
    let text = error.root_cause().to_string();
    let broken = BROKEN_ANSWERS.iter().any(|part| text.contains(part));
    (if broken { FaultClass::Plugin } else { FaultClass::Environment }, format!("{text}{place}"))
}

/// The innermost functions, where the plugin kept their names; without the standard library's way from a panic to its trap.
fn frames(backtrace: &WasmBacktrace) -> String {
    const FRAMES_MAX: usize = 4;
    const PANIC: [&str; 6] =
        ["core::panicking", "std::panicking", "rust_panic", "__rust", "std::sys::backtrace", "core::option"];
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name().map(|name| format!("{:#}", rustc_demangle::demangle(name))))
        .filter(|name| !PANIC.iter().any(|part| name.starts_with(part)))
        .take(FRAMES_MAX)
        .collect();
    if names.is_empty() { String::new() } else { format!(" (in {})", names.join(", called by ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trap_of_this_engine_is_classified() {
        let traps: Vec<Trap> = (0..=u8::MAX).filter_map(Trap::from_u8).collect();
        assert!(traps.len() > 40, "the engine lists {} kinds of trap", traps.len());
        let open: Vec<Trap> = traps.into_iter().filter(|trap| classified(*trap).is_none()).collect();
        assert_eq!(open, [], "classify these before this version of the engine is used");
    }
}
