//! Bytes as people write them.

/// Reads pairs of hexadecimal digits. `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let (pairs, odd) = digits.as_ref()?.as_chunks::<2>();
    odd.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::from_hex;

    #[test]
    fn pairs_of_digits_are_bytes_and_nothing_else_is() {
        assert_eq!(from_hex("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(from_hex(""), Some(Vec::new()));
        assert_eq!([from_hex("0"), from_hex("0x"), from_hex("é0")], [None, None, None]);
    }
}
