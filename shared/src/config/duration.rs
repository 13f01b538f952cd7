//! Times in settings: `500ms`, `30s`, `2m`, `1h`; a bare number is seconds.

use std::time::Duration;

/// Longer waits are mistakes.
const MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// # Errors
/// No number, no known unit, or more than seven days.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 500ms, 30s or 2m"))?;
    let millis = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => return Err(format!("unknown unit {other:?}; known are ms, s, m, h")),
    };
    let duration = Duration::from_millis(number.saturating_mul(millis));
    if duration <= MAX { Ok(duration) } else { Err(format!("{text:?} is more than seven days")) }
}
