//! The `fiel` binary.

fn main() {}
