//! The plot of `docs/balancing.md`, drawn from the real code: how far the counts of a split are from their ideal after
//! every request. `UPDATE_GOLDEN=1` rewrites it.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

use std::fmt::Write as _;
use std::fs;

use fiel::balance::random::Random;
use fiel::balance::{Rotation, Take};

/// Weights at which smooth weighted round robin passes a whole request, and how many requests are drawn: two periods.
const WEIGHTS: [u64; 5] = [1, 1, 12, 12, 14];
const REQUESTS: u64 = 80;
const SEED: u64 = 7;

/// The distance of the entry that is furthest from its ideal, after each request.
fn distances(mut next: impl FnMut() -> usize) -> Vec<f64> {
    let sum: u64 = WEIGHTS.iter().sum();
    let mut got = [0_u64; WEIGHTS.len()];
    (1..=REQUESTS)
        .map(|n| {
            got[next()] += 1;
            let off = got
                .iter()
                .zip(&WEIGHTS)
                .map(|(got, weight)| (got * sum).abs_diff(n * weight));
            off.max().unwrap() as f64 / sum as f64
        })
        .collect()
}

fn exact() -> Vec<f64> {
    let rotation = Rotation::new(&WEIGHTS);
    distances(|| match rotation.take() {
        Take::Picked(pick) => pick.entry,
        Take::Closed | Take::Empty => panic!("it has weights and no successor"),
    })
}

/// As nginx does it: everybody gains its weight, the richest is chosen and pays the sum.
fn smooth() -> Vec<f64> {
    let sum: i64 = WEIGHTS.iter().map(|weight| weight.cast_signed()).sum();
    let mut credit = [0_i64; WEIGHTS.len()];
    distances(|| {
        for (credit, weight) in credit.iter_mut().zip(&WEIGHTS) {
            *credit += weight.cast_signed();
        }
        // The first of equals.
        let richest = (0..credit.len())
            .rev()
            .max_by_key(|&entry| credit[entry])
            .unwrap();
        credit[richest] -= sum;
        richest
    })
}

fn drawn() -> Vec<f64> {
    let random = Random::new(&WEIGHTS);
    let mut chance = fastrand::Rng::with_seed(SEED);
    distances(|| random.draw(&mut chance).unwrap())
}

fn most(distances: &[f64]) -> f64 {
    distances.iter().copied().fold(0.0, f64::max)
}

#[test]
fn the_exact_sequence_stays_below_one_request_where_others_do_not() {
    assert!(most(&exact()) < 1.0, "{}", most(&exact()));
    assert!(most(&smooth()) >= 1.0, "{}", most(&smooth()));
    assert!(most(&drawn()) > 2.0, "{}", most(&drawn()));
}

#[test]
fn the_plot_in_the_docs_is_what_the_code_does() {
    let path = "docs/balancing.svg";
    let actual = plot(&[
        ("fiel", "#0a7d55", exact()),
        ("smooth weighted round robin", "#c77700", smooth()),
        ("random draw, seed 7", "#b03060", drawn()),
    ]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, &actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(actual == expected, "UPDATE_GOLDEN=1 draws it anew");
}

/// In a frame of 720 by 360 the axes begin at (50, 320); a request is 8 wide, a request of distance 60 high.
fn plot(lines: &[(&str, &str, Vec<f64>)]) -> String {
    let height = |distance: f64| 320.0 - 60.0 * distance;
    let mut svg = String::from(concat!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 360\" font-family=\"sans-serif\" font-size=\"12\">\n",
        "<title>Distance from the ideal, weights 1, 1, 12, 12, 14</title>\n",
        "<rect width=\"720\" height=\"360\" fill=\"#ffffff\"/>\n",
    ));
    for step in 0..=5 {
        let y = height(f64::from(step));
        let (width, dash) = match step {
            1 => (2, " stroke-dasharray=\"6 4\""),
            _ => (1, ""),
        };
        let colour = if step == 1 { "#444444" } else { "#dddddd" };
        writeln!(
            svg,
            "<path d=\"M50 {y}H690\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/><text x=\"32\" y=\"{}\">{step}</text>",
            y + 4.0
        )
        .unwrap();
    }
    for n in (0..=REQUESTS).step_by(20) {
        writeln!(
            svg,
            "<text x=\"{}\" y=\"338\" text-anchor=\"middle\">{n}</text>",
            50 + 8 * n
        )
        .unwrap();
    }
    svg.push_str("<text x=\"370\" y=\"354\" text-anchor=\"middle\">requests so far; upwards: requests off the ideal, of the entry that is furthest</text>\n");
    for (index, (name, colour, distances)) in lines.iter().enumerate() {
        let mut path = String::from("M50 320.0");
        for (n, distance) in (1..).zip(distances) {
            write!(path, "L{} {:.1}", 50 + 8 * n, height(*distance)).unwrap();
        }
        writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        )
        .unwrap();
        let y = 20 + 16 * index;
        writeln!(
            svg,
            "<text x=\"62\" y=\"{y}\" fill=\"{colour}\">{name}: at most {:.2}</text>",
            most(distances)
        )
        .unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}
