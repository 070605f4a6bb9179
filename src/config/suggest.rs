//! The nearest known name to one that is not known.
//!
//! Distance is the number of letters changed, added, left out or swapped with their neighbour (optimal string
//! alignment: Damerau 1964 restricted to one edit per place). Case, `-` and `_` do not count, so that
//! `max_connections` finds `maxConnections`.

/// The known name nearest to `wrong`, when it is near enough to be meant.
pub(crate) fn nearest<'k>(
    wrong: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let wrong = plain(wrong);
    if wrong.is_empty() || wrong.len() > MAX_LENGTH {
        return None;
    }
    let tolerated = (wrong.len() / 3).max(1);
    known
        .into_iter()
        .filter(|name| name.len() <= 2 * MAX_LENGTH)
        .filter_map(|name| {
            let candidate = plain(name);
            if candidate.len().abs_diff(wrong.len()) > tolerated {
                return None;
            }
            Some((distance(&wrong, &candidate), name))
        })
        .filter(|&(distance, _)| distance <= tolerated)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Names longer than this get no suggestion: the comparison is quadratic in the length.
const MAX_LENGTH: usize = 100;

fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_through_slips_of_the_finger() {
        let known = ["weight", "pool", "strict", "maxConnections"];
        for (wrong, wanted) in [
            ("weigth", Some("weight")),
            ("wieght", Some("weight")),
            ("Weight", Some("weight")),
            ("pol", Some("pool")),
            ("max_connections", Some("maxConnections")),
            ("max-conections", Some("maxConnections")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), wanted, "{wrong:?}");
        }
    }

    #[test]
    fn among_several_the_nearest_wins() {
        assert_eq!(nearest("shop-v3x", ["shop-v1", "shop-v3"]), Some("shop-v3"));
    }
}
