//! The line of JSON that every bench prints: names of figures and their values, one object per run.

use crate::meter::Measured;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// One run's figures. The unit is the end of the name: `mb_s` is 10^6 bytes a second, `_ms` milliseconds, `_us` microseconds.
pub type Figures = Map<String, Value>;

/// Starts a report of the bench with this name.
pub fn figures(bench: &str) -> Figures {
    let mut figures = Map::new();
    figures.insert("bench".into(), bench.into());
    figures
}

/// A histogram of microseconds, up to ten minutes, three digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3)
        .expect("the bounds are constants that fit each other")
}

/// Adds p50, p99, p99.9 and the maximum, in milliseconds.
pub fn add_latencies(figures: &mut Figures, latencies: &Histogram<u64>) {
    for (name, quantile) in [
        ("p50_ms", 0.5),
        ("p99_ms", 0.99),
        ("p999_ms", 0.999),
        ("max_ms", 1.0),
    ] {
        put(
            figures,
            name,
            latencies.value_at_quantile(quantile) as f64 / 1e3,
        );
    }
}

/// Adds rates, and what the broker and the client paid for them.
pub fn add_costs(figures: &mut Figures, measured: &Measured, bytes: u64, requests: u64) {
    let gigabytes = bytes as f64 / 1e9;
    put(figures, "seconds", measured.seconds);
    put(figures, "mb_s", bytes as f64 / 1e6 / measured.seconds);
    put(figures, "requests_s", requests as f64 / measured.seconds);
    put(figures, "cpu_s_per_gb", measured.cpu_seconds / gigabytes);
    put(
        figures,
        "cpu_us_per_request",
        measured.cpu_seconds * 1e6 / requests as f64,
    );
    put(
        figures,
        "cpu_s_per_s",
        measured.cpu_seconds / measured.seconds,
    );
    put(
        figures,
        "client_cpu_s_per_s",
        measured.client_cpu_seconds / measured.seconds,
    );
    put(
        figures,
        "client_cpu_s_per_gb",
        measured.client_cpu_seconds / gigabytes,
    );
    put(figures, "rss_mb", measured.peak.resident as f64 / 1e6);
    put(figures, "anon_mb", measured.peak.anonymous as f64 / 1e6);
}

/// Adds one figure, rounded to four digits after the point.
pub fn put(figures: &mut Figures, name: &str, value: f64) {
    figures.insert(name.into(), json!((value * 1e4).round() / 1e4));
}

/// Prints the report as one line.
pub fn print(figures: Figures) {
    println!("{}", Value::Object(figures));
}

/// The middle of some figures, or the mean of the two in the middle; NaN of none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(vec![]).is_nan());
    }
}
