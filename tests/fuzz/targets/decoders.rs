//! The first byte chooses the decoder, the rest is its input.
#![no_main]

use adit_tests::fuzz::DECODERS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((choice, input)) = bytes.split_first() {
        (DECODERS[usize::from(*choice) % DECODERS.len()].run)(input);
    }
});
