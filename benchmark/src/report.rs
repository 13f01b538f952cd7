//! The figures: medians with their spread, a table for people and JSON for programs.

use serde_json::{Map, Value, json};

/// Several measurements of one thing.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<f64>);

impl Figures {
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (n, half) = (sorted.len(), sorted.len() / 2);
        match n {
            0 => f64::NAN,
            _ if n % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    pub fn low(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn high(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Each of these by the other's of the same round.
    pub fn by(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }
}

impl From<f64> for Figures {
    fn from(one: f64) -> Self {
        Self(vec![one])
    }
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    None,
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::AtLeast(n) => format!("≥ {}", number(n)),
            Self::AtMost(n) => format!("≤ {}", number(n)),
        }
    }

    fn met(self, median: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtLeast(n) => Some(median >= n),
            Self::AtMost(n) => Some(median <= n),
        }
    }
}

struct Row {
    part: String,
    what: String,
    unit: &'static str,
    figures: Figures,
    target: Target,
}

/// All rows of one run, in the order in which they were measured.
pub struct Report {
    quick: bool,
    rows: Vec<Row>,
    summary: Map<String, Value>,
}

impl Report {
    pub fn new(quick: bool) -> Self {
        Self { quick, rows: vec![], summary: Map::new() }
    }

    /// A row; told at once, since a whole run takes long.
    pub fn row(&mut self, part: &str, what: impl Into<String>, unit: &'static str, figures: impl Into<Figures>, target: Target) {
        let row = Row { part: part.to_owned(), what: what.into(), unit, figures: figures.into(), target };
        eprintln!("{}", line(&row));
        self.rows.push(row);
    }

    /// A row that stands in the summary too.
    pub fn summed(
        &mut self,
        key: &str,
        part: &str,
        what: impl Into<String>,
        unit: &'static str,
        figures: impl Into<Figures>,
        target: Target,
    ) {
        let figures = figures.into();
        self.summary.insert(key.to_owned(), json!(rounded(figures.median())));
        self.row(part, what, unit, figures, target);
    }

    pub fn print(&self) {
        println!("{:<12} {:<44} {:>10} {:>19}  {:<12} {:<10}", "part", "what", "median", "low to high", "unit", "target");
        for row in &self.rows {
            println!("{}", line(row));
        }
    }

    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "part": row.part, "what": row.what, "unit": row.unit, "median": rounded(row.figures.median()),
                    "low": rounded(row.figures.low()), "high": rounded(row.figures.high()), "n": row.figures.0.len(),
                    "target": row.target.text(), "met": row.target.met(row.figures.median()),
                })
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        json!({ "quick": self.quick, "machine": { "cores": cores, "cpu": cpu_model() }, "summary": self.summary, "rows": rows })
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    model.map(|m| m.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
}

fn line(row: &Row) -> String {
    let spread = match row.figures.0.len() {
        0 | 1 => String::new(),
        _ => format!("{} to {}", number(row.figures.low()), number(row.figures.high())),
    };
    let median = row.figures.median();
    let met = match row.target.met(median) {
        None => "",
        Some(true) => "met",
        Some(false) => "MISSED",
    };
    format!("{:<12} {:<44} {:>10} {:>19}  {:<12} {:<10} {met}", row.part, row.what, number(median), spread, row.unit, row.target.text())
}

fn rounded(n: f64) -> f64 {
    if n.abs() >= 100.0 { n.round() } else { (n * 1000.0).round() / 1000.0 }
}

fn number(n: f64) -> String {
    match n.abs() {
        a if a >= 1000.0 => {
            let digits = format!("{:.0}", n);
            let mut out = String::new();
            for (i, c) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i) % 3 == 0 && c.is_ascii_digit() {
                    out.push(',');
                }
                out.push(c);
            }
            out
        }
        a if a >= 100.0 => format!("{n:.0}"),
        a if a >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}
