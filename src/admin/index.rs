//! The page at `/`: what there is, in plain HTML, readable without scripts, styles or a network.

use std::fmt::Write;

use crate::admin::paths::{ORDERS, SHOWN};

/// The page.
pub(crate) fn html() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut shown = String::new();
    for one in SHOWN {
        let (path, what) = (one.path, one.what);
        writeln!(
            shown,
            "<dt><a href=\"{path}\">{path}</a></dt><dd>{what}</dd>"
        )
        .expect("a string takes all");
    }
    let mut orders = String::new();
    for (path, what) in ORDERS {
        writeln!(orders, "<dt><code>POST {path}</code></dt><dd>{what}</dd>")
            .expect("a string takes all");
    }
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>fiel admin</title>
</head>
<body>
<h1>fiel {version}</h1>
<p>This is the admin address of a running fiel.</p>
<h2>To look at</h2>
<dl>
{shown}</dl>
<h2>To order</h2>
<p>By a POST request, with the token where one is configured:
<code>curl -X POST -H \"Authorization: Bearer $TOKEN\" http://…</code></p>
<dl>
{orders}</dl>
</body>
</html>
"
    )
}
