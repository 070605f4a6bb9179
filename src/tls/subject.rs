//! A distinguished name as text (RFC 4514), the way OpenSSL prints it with `-nameopt RFC2253`: the most specific part first.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Names of attributes that are written by name and not by number (RFC 4514 §3, and the two that all tools know).
const SHORT: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.5", "serialNumber"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Writes a name. No two different names are written alike.
pub(super) fn written(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            push(&mut text, attribute);
        }
    }
    text
}

fn push(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let number = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(known, _)| *known == number);
    match (short, attribute.as_str()) {
        (Some((_, name)), Ok(value)) => {
            text.push_str(name);
            text.push('=');
            push_escaped(text, value);
        }
        // What is no text, or unknown, is written in hexadecimal digits (RFC 4514 §2.4).
        (_, _) => {
            text.push_str(&number);
            text.push_str("=#");
            for octet in attribute.as_slice() {
                write!(text, "{octet:02x}").expect("a text grows");
            }
        }
    }
}

/// RFC 4514 §2.4
fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (place, letter) in value.chars().enumerate() {
        let at_an_end =
            letter == ' ' && (place == 0 || place == last) || letter == '#' && place == 0;
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            _ if at_an_end => {
                text.push('\\');
                text.push(letter);
            }
            // Control characters, and what no header may hold.
            _ if !letter.is_ascii_graphic() && letter != ' ' => {
                for octet in letter.encode_utf8(&mut [0; 4]).bytes() {
                    write!(text, "\\{octet:02X}").expect("a text grows");
                }
            }
            _ => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_divides_a_name_is_escaped_within_a_value() {
        let mut text = String::new();
        push_escaped(&mut text, " a,b+c=\"d\" #é\n ");
        assert_eq!(text, "\\ a\\,b\\+c=\\\"d\\\" #\\C3\\A9\\0A\\ ");
    }
}
