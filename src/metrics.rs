//! Every metric's name, help, labels and buckets, declared once; the handles that count; the text that is scraped.

pub mod cells;
