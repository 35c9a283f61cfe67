//! Medians, ratios and targets, as Markdown that reads well in a terminal, too.

use super::Runs;
use super::scenarios::{Bound, Line, Scenario, Target};
use crate::report::{Figures, median};
use std::fmt::{self, Write};

/// Who takes part in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Milena.
    Ours,
    /// Apache Kafka.
    Kafka,
    /// The least that the machine needs for it.
    Floor,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "Milena",
            Self::Kafka => "Kafka",
            Self::Floor => "floor",
        })
    }
}

impl std::str::FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ours" => Ok(Self::Ours),
            "kafka" => Ok(Self::Kafka),
            "floor" => Ok(Self::Floor),
            _ => Err("one of ours, kafka, floor".into()),
        }
    }
}

/// Prints a scenario's table; what was missed comes back as sentences, and who failed, as a median is of what is left.
pub(super) fn print(scenario: &Scenario, runs: &Runs, sides: &[Side]) -> Vec<String> {
    let outcomes = runs.outcomes.as_slice();
    let mut missed = failures(scenario, runs, sides);
    let told = missed.iter().fold(String::new(), |told, sentence| {
        told + "
" + sentence + "
"
    });
    let took_part = |side: &Side| outcomes.iter().any(|(of, _)| of == side);
    let sides: Vec<Side> = sides.iter().copied().filter(took_part).collect();
    let mut rows = vec![header(&sides)];
    for line in scenario.lines {
        let median_of = |side| median_of(outcomes, side, line);
        let mut row = vec![line.name.to_owned()];
        row.extend(
            sides
                .iter()
                .map(|side| median_of(*side).map_or_else(String::new, number)),
        );
        for side in sides.iter().filter(|side| **side != Side::Ours) {
            let ratio = median_of(Side::Ours)
                .zip(median_of(*side))
                .map(|(ours, theirs)| ours / theirs);
            row.push(ratio.map_or_else(String::new, number));
        }
        row.push(
            line.targets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        );
        let mut marks = Vec::new();
        for target in line.targets {
            let reached = target.reached(median_of);
            marks.push(reached.map_or("?", |reached| if reached { "yes" } else { "NO" }));
            if reached == Some(false) {
                let ours = median_of(Side::Ours).map_or_else(String::new, number);
                missed.push(format!(
                    "{}: {} is {ours}, not {target}",
                    scenario.name, line.name
                ));
            }
        }
        row.push(marks.join(", "));
        rows.push(row);
    }
    println!(
        "\n**{}**: {}\n\n{}{told}",
        scenario.name,
        scenario.about,
        markdown(&rows)
    );
    missed
}

/// Who failed how often.
fn failures(scenario: &Scenario, runs: &Runs, sides: &[Side]) -> Vec<String> {
    let sentence = |side: &Side| {
        let failed = runs.failures_of(*side);
        let done = runs.outcomes.iter().filter(|(of, _)| of == side).count();
        let (name, all) = (scenario.name, failed + done);
        (failed > 0).then(|| format!("{name}: {side} failed in {failed} of {all} runs"))
    };
    sides.iter().filter_map(sentence).collect()
}

/// Prints what was missed in all scenarios.
pub(super) fn print_missed(missed: &[String]) {
    if missed.is_empty() {
        println!("\nNothing that could be judged fell short.");
        return;
    }
    println!("\nFell short:");
    for sentence in missed {
        println!("- {sentence}");
    }
}

fn header(sides: &[Side]) -> Vec<String> {
    let mut row = vec![String::new()];
    row.extend(sides.iter().map(ToString::to_string));
    row.extend(
        sides
            .iter()
            .filter(|side| **side != Side::Ours)
            .map(|side| format!("÷ {side}")),
    );
    row.extend(["target".into(), "reached".into()]);
    row
}

fn median_of(outcomes: &[(Side, Figures)], side: Side, line: &Line) -> Option<f64> {
    let of_side = outcomes.iter().filter(|(of, _)| *of == side);
    let values: Vec<f64> = of_side
        .filter_map(|(_, figures)| figures.get(line.figure)?.as_f64())
        .collect();
    (!values.is_empty()).then(|| median(values))
}

impl Target {
    /// None where a side is missing.
    fn reached(&self, median_of: impl Fn(Side) -> Option<f64>) -> Option<bool> {
        let bound = self.factor * self.of.map_or(Some(1.0), &median_of)?;
        let ours = median_of(Side::Ours)?;
        Some(match self.bound {
            Bound::AtLeast => ours >= bound,
            Bound::AtMost => ours <= bound,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.bound {
            Bound::AtLeast => "≥ ",
            Bound::AtMost => "≤ ",
        })?;
        f.write_str(&number(self.factor))?;
        match self.of {
            Some(side) => write!(f, " × {side}"),
            None => Ok(()),
        }
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if at == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWICE: Target = Target {
        bound: Bound::AtLeast,
        factor: 2.0,
        of: Some(Side::Kafka),
    };

    #[test]
    fn a_target_is_judged_against_its_side_and_not_without_it() {
        let figure = |ours: f64, kafka: Option<f64>| {
            move |side| {
                if side == Side::Ours {
                    Some(ours)
                } else {
                    kafka
                }
            }
        };
        assert_eq!(TWICE.reached(figure(4.0, Some(2.0))), Some(true));
        assert_eq!(TWICE.reached(figure(3.9, Some(2.0))), Some(false));
        assert_eq!(TWICE.reached(figure(3.9, None)), None);
        let below = Target {
            bound: Bound::AtMost,
            factor: 10.0,
            of: None,
        };
        assert_eq!(below.reached(figure(9.0, None)), Some(true));
    }

    #[test]
    fn a_side_that_fails_is_told_beside_the_figures_of_its_other_rounds() {
        let runs = Runs {
            outcomes: vec![(Side::Ours, Figures::default())],
            failed: vec![Side::Ours, Side::Ours],
        };
        let scenario = &super::super::SCENARIOS[0];
        assert_eq!(
            failures(scenario, &runs, &[Side::Ours, Side::Kafka]),
            [format!("{}: Milena failed in 2 of 3 runs", scenario.name)]
        );
        assert_eq!(runs.failures_but(Side::Kafka), 2);
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(
            [1234.5, 45.67, 4.567, 0.4567].map(number),
            ["1234", "45.7", "4.57", "0.457"]
        );
        assert_eq!(TWICE.to_string(), "≥ 2.00 × Kafka");
    }
}
