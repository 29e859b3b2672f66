//! Hexadecimal digits, read in any case and written in lower case.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Reads exactly `N` bytes.
pub fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read(text, &mut bytes).then_some(bytes)
}

/// Reads any number of whole bytes.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; text.len() / 2];
    read(text, &mut bytes).then_some(bytes)
}

/// Reads pairs of digits into all of `bytes`, and tells whether the text was exactly that.
pub fn read(text: &str, bytes: &mut [u8]) -> bool {
    let text = text.as_bytes();
    text.len() == 2 * bytes.len()
        && text.chunks_exact(2).zip(bytes).all(|(pair, byte)| match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => {
                *byte = high << 4 | low;
                true
            }
            _ => false,
        })
}

/// Reads a number of 1 to 16 digits.
pub fn number(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number, byte| Some(number << 4 | u64::from(digit(*byte)?)))
}

/// Appends two digits for each byte.
pub fn write(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 * bytes.len());
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// Appends a number without leading zeros.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[usize::try_from(number >> (4 * digit) & 15).expect("a digit")]));
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_in_any_case() {
        assert_eq!(array("00aBFf"), Some([0x00, 0xab, 0xff]));
        assert_eq!(number("1FffE000"), Some(0x1fff_e000));
    }

    #[test]
    fn an_odd_count_a_sign_and_other_letters_are_refused() {
        for text in ["abc", "+a", "0x", "gg", "é", " a"] {
            assert_eq!(bytes(text), None, "{text:?}");
        }
        for text in ["", "+1", "-1", "0x1", "12345678901234567"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        let written = |number| {
            let mut out = Vec::new();
            write_number(number, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!([0, 10, 256, u64::MAX].map(written), ["0", "a", "100", "ffffffffffffffff"]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(want: Vec<u8>) {
            let mut text = Vec::new();
            write(&want, &mut text);
            proptest::prop_assert_eq!(bytes(std::str::from_utf8(&text).unwrap()), Some(want));
        }
    }
}
