//! `grpc-message`: text in a field's value, with all but printable ASCII percent-encoded.

/// Appends a text as `grpc-message` says it: what is no printable ASCII, and the percent sign, as `%` and two upper-case
/// hexadecimal digits.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for octet in text {
        match octet {
            b'%' | ..b' ' | 0x7f.. => {
                let [high, low] = [octet >> 4, octet & 0xf].map(|digit| DIGITS[usize::from(digit)]);
                out.extend_from_slice(&[b'%', high, low]);
            }
            b' '..=b'~' => out.push(*octet),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn read(escaped: &str) -> Vec<u8> {
        let mut read = Vec::new();
        let mut octets = escaped.bytes();
        while let Some(octet) = octets.next() {
            if octet == b'%' {
                let digits = [octets.next().unwrap(), octets.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                read.push(u8::from_str_radix(digits, 16).unwrap());
            } else {
                read.push(octet);
            }
        }
        read
    }

    #[test]
    fn what_is_not_printable_is_percent_encoded() {
        assert_eq!(escaped(b"503 (id 7f/~)"), "503 (id 7f/~)");
        assert_eq!(
            escaped("100 %\r\n\u{7f}é".as_bytes()),
            "100 %25%0D%0A%7F%C3%A9"
        );
    }

    proptest! {
        #[test]
        fn any_octets_make_a_value_and_read_back(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let escaped = escaped(&text);
            prop_assert!(HeaderValue::from_str(&escaped).is_ok());
            prop_assert!(escaped.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
            prop_assert_eq!(read(&escaped), text);
        }
    }
}
