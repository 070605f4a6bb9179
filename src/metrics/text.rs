//! From counts to the Prometheus text format, by way of the `prometheus` crate's families and encoder.
//!
//! The crate's registry sorts what its collector gathers; families that are gathered for one scrape only, for which it
//! has no place, are put among them here. A family without a series is not printed.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::cells::{Bounds, Distribution};
use super::families::{Family, Kind};

/// What one scrape has gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    families: BTreeMap<String, MetricFamily>,
}

impl Sheet {
    /// A sample of a counter or a gauge.
    pub(crate) fn add(&mut self, family: &Family, labels: &[&str], value: f64) {
        let mut metric = labelled(family, labels);
        match family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Kind::Histogram => {
                debug_assert!(false, "{} is a histogram", family.name);
                return;
            }
        }
        self.family(family).mut_metric().push(metric);
    }

    /// A sample that was counted in whole numbers. Above 2^53 the text would round it.
    pub(crate) fn count(&mut self, family: &Family, labels: &[&str], value: u64) {
        self.add(family, labels, value as f64);
    }

    /// A level as the difference of two sums. They are read one after the other while others count, so that the
    /// difference may fall short by a few; below zero it never shows.
    pub(crate) fn level(&mut self, family: &Family, labels: &[&str], up: u64, down: u64) {
        let level = up.wrapping_sub(down).cast_signed().max(0);
        self.add(family, labels, level as f64);
    }

    /// A sample of a histogram with the bounds of `B`.
    pub(crate) fn durations<B: Bounds>(
        &mut self,
        family: &Family,
        labels: &[&str],
        distribution: &Distribution,
    ) {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(B::NANOS.len());
        for (bound, count) in B::NANOS.iter().zip(distribution.buckets) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e9);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(distribution.count());
        histogram.set_sample_sum(distribution.sum_micros as f64 / 1e6);
        let mut metric = labelled(family, labels);
        metric.set_histogram(histogram);
        self.family(family).mut_metric().push(metric);
    }

    /// Samples that were gathered elsewhere.
    pub(crate) fn merge(&mut self, mut other: MetricFamily) {
        if let Some(family) = self.families.get_mut(other.name()) {
            family.mut_metric().append(other.mut_metric());
        } else {
            self.families.insert(other.name().to_owned(), other);
        }
    }

    /// What was gathered of one family.
    pub(crate) fn take(&mut self, family: &Family) -> MetricFamily {
        self.families
            .remove(family.name)
            .unwrap_or_else(|| empty(family))
    }

    /// What was gathered, families by name.
    pub(crate) fn into_families(self) -> Vec<MetricFamily> {
        self.families
            .into_values()
            .filter(|family| !family.get_metric().is_empty() && !family.name().is_empty())
            .collect()
    }

    /// The text, families by name.
    pub(crate) fn print(self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.into_families())
            .expect("only families without a name or a series are refused, and they were left out")
    }

    fn family(&mut self, family: &Family) -> &mut MetricFamily {
        self.families
            .entry(family.name.to_owned())
            .or_insert_with(|| empty(family))
    }
}

impl Family {
    /// The family with these samples, for [`Metrics::text`](crate::metrics::Metrics::text): label values and a number each.
    ///
    /// Not for histograms, whose samples are more than a number: [`Family::with_durations`].
    pub fn with<L: AsRef<[S]>, S: AsRef<str>>(
        &'static self,
        samples: impl IntoIterator<Item = (L, f64)>,
    ) -> MetricFamily {
        let mut sheet = Sheet::default();
        for (labels, value) in samples {
            let labels: Vec<&str> = labels.as_ref().iter().map(AsRef::as_ref).collect();
            sheet.add(self, &labels, value);
        }
        sheet.take(self)
    }

    /// The family with these histograms, for [`Metrics::text`](crate::metrics::Metrics::text): label values and what
    /// was counted by the bounds of `B`, each.
    pub fn with_durations<B: Bounds, L: AsRef<[S]>, S: AsRef<str>>(
        &'static self,
        samples: impl IntoIterator<Item = (L, Distribution)>,
    ) -> MetricFamily {
        let mut sheet = Sheet::default();
        for (labels, distribution) in samples {
            let labels: Vec<&str> = labels.as_ref().iter().map(AsRef::as_ref).collect();
            sheet.durations::<B>(self, &labels, &distribution);
        }
        sheet.take(self)
    }
}

fn empty(family: &Family) -> MetricFamily {
    let mut made = MetricFamily::default();
    made.set_name(family.name.to_owned());
    made.set_help(family.help.to_owned());
    made.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    made
}

fn labelled(family: &Family, values: &[&str]) -> Metric {
    debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
    let pairs = family
        .labels
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect();
    Metric::from_label(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::cells::RequestBounds;
    use crate::metrics::families;

    #[test]
    fn label_values_are_escaped() {
        let mut sheet = Sheet::default();
        sheet.count(&families::UPSTREAM_CONNECTS, &["a\"b\\c\nd"], 7);
        let text = sheet.print();
        assert!(
            text.contains(r#"fiel_upstream_connects_total{pool="a\"b\\c\nd"} 7"#),
            "{text}"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let mut distribution = Distribution::default();
        distribution.buckets[0] = 2;
        distribution.buckets[1] = 3;
        distribution.buckets[15] = 1;
        distribution.sum_micros = 12_500_000;
        let mut sheet = Sheet::default();
        sheet.durations::<RequestBounds>(&families::UPSTREAM_DURATION, &["a"], &distribution);
        let text = sheet.print();
        for line in [
            r#"fiel_upstream_duration_seconds_bucket{pool="a",le="0.001"} 2"#,
            r#"fiel_upstream_duration_seconds_bucket{pool="a",le="0.0025"} 5"#,
            r#"fiel_upstream_duration_seconds_bucket{pool="a",le="0.035"} 5"#,
            r#"fiel_upstream_duration_seconds_bucket{pool="a",le="10"} 5"#,
            r#"fiel_upstream_duration_seconds_bucket{pool="a",le="+Inf"} 6"#,
            r#"fiel_upstream_duration_seconds_sum{pool="a"} 12.5"#,
            r#"fiel_upstream_duration_seconds_count{pool="a"} 6"#,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn families_come_by_name_and_what_has_no_series_is_left_out() {
        let mut sheet = Sheet::default();
        sheet.merge(families::SPLIT_WEIGHT.with([(["shop", "v1"], 0.95), (["shop", "v2"], 0.05)]));
        sheet.merge(families::POOL_INFO.with([(vec!["v1".to_owned(), "1.8".to_owned()], 1.0)]));
        sheet.merge(families::POOL_ENDPOINTS.with(Vec::<([&str; 2], f64)>::new()));
        let expected = "\
# HELP fiel_pool_info 1; which version a pool runs.
# TYPE fiel_pool_info gauge
fiel_pool_info{pool=\"v1\",version=\"1.8\"} 1
# HELP fiel_split_weight_ratio The share of the route's requests that the configuration gives to a pool.
# TYPE fiel_split_weight_ratio gauge
fiel_split_weight_ratio{route=\"shop\",pool=\"v1\"} 0.95
fiel_split_weight_ratio{route=\"shop\",pool=\"v2\"} 0.05
";
        assert_eq!(sheet.print(), expected);
    }
}
