//! Texts from elsewhere on a terminal: nothing in them may move its cursor, colour it, or turn its lines around.

/// The text with its control characters, and those that change the direction of writing, replaced.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match is_plain(c) {
            true => c,
            false => '\u{fffd}',
        })
        .collect()
}

fn is_plain(c: char) -> bool {
    // Marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs.
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_could_reach_the_terminal_is_replaced_and_all_else_stays() {
        assert_eq!(plain("shop-é [31m"), "shop-é [31m");
        assert_eq!(
            plain("a\u{1b}[31m\n\u{9b}b\u{7f}\u{202e}"),
            "a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}\u{fffd}"
        );
    }
}
