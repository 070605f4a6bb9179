//! Bars, as an SVG that a page can show: for each row, what each peer spends on a request.

use std::fmt::Write as _;

/// One row of bars.
pub(crate) struct Group {
    pub(crate) title: String,
    /// Each peer's name and figure.
    pub(crate) bars: Vec<(&'static str, f64)>,
}

const WIDTH: f64 = 900.0;
const LABEL: f64 = 80.0;
const BAR: f64 = 14.0;
const GAP: f64 = 30.0;

/// Bars drawn to each group's own scale, since a row of uploads would flatten all others.
pub(crate) fn svg(groups: &[Group]) -> String {
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = groups.len() as f64 * GAP + bars as f64 * (BAR + 3.0) + 20.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut y = 0.0;
    for group in groups {
        y += GAP;
        let title = &group.title;
        push(
            &mut out,
            format_args!(
                "<text x=\"4\" y=\"{:.0}\" font-weight=\"bold\">{title}</text>\n",
                y - 8.0
            ),
        );
        let longest = group
            .bars
            .iter()
            .map(|(_, figure)| *figure)
            .fold(1e-9, f64::max);
        for (name, figure) in &group.bars {
            let width = figure / longest * (WIDTH - LABEL - 70.0);
            let colour = if *name == "fiel" {
                "#0b6e4f"
            } else {
                "#9aa5b1"
            };
            let text = y + BAR - 3.0;
            push(
                &mut out,
                format_args!(
                    "<text x=\"4\" y=\"{text:.0}\">{name}</text>\
                     <rect x=\"{LABEL}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
                     <text x=\"{:.1}\" y=\"{text:.0}\">{figure:.1}</text>\n",
                    LABEL + width + 4.0
                ),
            );
            y += BAR + 3.0;
        }
    }
    out.push_str("</svg>\n");
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all");
}
