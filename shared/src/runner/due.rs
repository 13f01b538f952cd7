//! Due dates: ISO 8601 dates, durations and cycles, cron expressions, computed from a given now. No clock of its own.

use chrono::{DateTime, Duration, Months, NaiveDate, NaiveDateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};

use super::Refusal;
use super::run::Step;
use crate::process::definition::TimerKind;
use crate::process::value::TypedValue;

/// The most steps of a calendar period that are counted to find the next repetition.
const MAX_REPEATS: u32 = 100_000;

/// A period: months are the calendar's, the rest is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    months: u32,
    millis: i64,
}

impl Period {
    pub(crate) fn after(self, start: i64) -> Option<i64> {
        let shifted = match self.months {
            0 => start,
            months => DateTime::<Utc>::from_timestamp_millis(start)?.checked_add_months(Months::new(months))?.timestamp_millis(),
        };
        shifted.checked_add(self.millis)
    }
}

fn invalid(text: &str) -> Refusal {
    Refusal::engine(format!("ENGINE-09027 Exception while resolving duedate '{text}': Invalid format: \"{text}\""))
}

/// `P1Y2M3W4DT5H6M7.5S`; at least one part must be there.
pub(crate) fn period(text: &str) -> Step<Period> {
    parse_period(text).ok_or_else(|| invalid(text))
}

fn parse_period(text: &str) -> Option<Period> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text.strip_prefix('P')?, None),
    };
    if date.is_empty() && time.is_none_or(str::is_empty) {
        return None;
    }
    let mut period = Period { months: 0, millis: 0 };
    for (number, unit) in parts(date)? {
        let whole: u32 = number.parse().ok()?;
        let days = match unit {
            'Y' => {
                period.months = period.months.checked_add(whole.checked_mul(12)?)?;
                continue;
            }
            'M' => {
                period.months = period.months.checked_add(whole)?;
                continue;
            }
            'W' => i64::from(whole) * 7,
            'D' => i64::from(whole),
            _ => return None,
        };
        period.millis = period.millis.checked_add(Duration::try_days(days)?.num_milliseconds())?;
    }
    for (number, unit) in parts(time.unwrap_or_default())? {
        let seconds = match unit {
            'H' => 3600.0,
            'M' => 60.0,
            'S' => 1.0,
            _ => return None,
        };
        let millis = number.parse::<f64>().ok()? * seconds * 1000.0;
        period.millis = period.millis.checked_add(millis as i64)?;
    }
    Some(period)
}

fn parts(text: &str) -> Option<Vec<(&str, char)>> {
    let mut found = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(end);
        found.push((number, tail.chars().next()?));
        rest = tail.get(1..)?;
    }
    Some(found)
}

/// A date with or without time and zone; without a zone it is UTC.
pub(crate) fn date(text: &str) -> Step<i64> {
    parse_date(text).ok_or_else(|| invalid(text))
}

fn parse_date(text: &str) -> Option<i64> {
    if let Ok(full) = DateTime::parse_from_rfc3339(text) {
        return Some(full.timestamp_millis());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"] {
        if let Ok(zoned) = DateTime::parse_from_str(text, format) {
            return Some(zoned.timestamp_millis());
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(plain) = NaiveDateTime::parse_from_str(text, format) {
            return Some(plain.and_utc().timestamp_millis());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// What a due date of a task may be: a date, or a duration from now.
pub(crate) fn date_or_duration(value: &TypedValue, now: i64) -> Step<i64> {
    let text = as_text(value);
    if text.starts_with('P') { period(&text)?.after(now).ok_or_else(|| invalid(&text)) } else { date(&text) }
}

fn as_text(value: &TypedValue) -> String {
    value.value.as_str().map_or_else(|| value.value.to_string(), |t| t.trim().to_owned())
}

/// When a timer is first due. A date that an expression gives is taken as it is, whatever the kind.
pub(crate) fn first_due(kind: TimerKind, value: &TypedValue, now: i64) -> Step<i64> {
    let text = as_text(value);
    if value.kind == "Date" {
        return date(&text);
    }
    match kind {
        TimerKind::Cycle if is_cron(&text) => cron_next(&text, now)?.ok_or_else(|| invalid(&text)),
        TimerKind::Cycle => Cycle::parse(&text, now)?.next(now).ok_or_else(|| invalid(&text)),
        TimerKind::Duration if text.contains('/') => Cycle::parse(&text, now)?.next(now).ok_or_else(|| invalid(&text)),
        TimerKind::Date | TimerKind::Duration => date_or_duration(&TypedValue::string(text), now),
    }
}

/// The cycle as a job keeps it: `R3/PT10M` gets its start.
pub(crate) fn repeat_of(value: &TypedValue, now: i64) -> String {
    let text = as_text(value);
    match (text.split_once('/'), DateTime::<Utc>::from_timestamp_millis(now)) {
        (Some((times, period)), Some(start)) if times.starts_with('R') && !period.contains('/') => {
            format!("{times}/{}/{period}", start.format("%Y-%m-%dT%H:%M:%S"))
        }
        _ => text,
    }
}

/// When a repeating timer that runs now is due again; none if it was the last time.
pub(crate) fn next_due(repeat: &str, now: i64) -> Step<Option<i64>> {
    if is_cron(repeat) {
        return cron_next(repeat, now);
    }
    Ok(Cycle::parse(repeat, now)?.next(now))
}

/// A cycle whose start is moved by `millis`.
pub(crate) fn shifted(repeat: &str, millis: i64) -> String {
    let mut parts: Vec<String> = repeat.split('/').map(str::to_owned).collect();
    if let [_, start, _] = parts.as_mut_slice()
        && let Some(moved) = parse_date(start).and_then(|s| DateTime::<Utc>::from_timestamp_millis(s + millis))
    {
        *start = moved.format("%Y-%m-%dT%H:%M:%S%.3f").to_string();
    }
    parts.join("/")
}

/// A cron expression as Quartz reads it, in UTC: seconds first, perhaps a year last, Sunday is 1.
fn cron_next(text: &str, now: i64) -> Step<Option<i64>> {
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Optional)
        .alternative_weekdays(true)
        // Steps from a single number, `0/5`, are Quartz's own.
        .sloppy_ranges(true)
        .build();
    let invalid = |reason: &dyn std::fmt::Display| {
        Refusal::engine(format!("ENGINE-09026 Exception while parsing cron expression '{text}': {reason}"))
    };
    let cron = parser.parse(text).map_err(|e| invalid(&e))?;
    let Some(from) = DateTime::<Utc>::from_timestamp_millis(now) else { return Ok(None) };
    // An error says that no such time is left: a year that is over, the 30th of February.
    Ok(cron.find_next_occurrence(&from, false).ok().map(|at| at.timestamp_millis()))
}

/// Is it a cron expression, and no ISO 8601 cycle?
fn is_cron(text: &str) -> bool {
    text.trim().contains(char::is_whitespace)
}

struct Cycle {
    times: u32,
    start: i64,
    period: Period,
}

impl Cycle {
    fn parse(text: &str, now: i64) -> Step<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (times, rest) = match parts.split_first() {
            Some((first, rest)) if first.starts_with('R') => {
                let count = &first[1..];
                let times = if count.is_empty() { u32::MAX } else { count.parse().map_err(|_| invalid(text))? };
                (times, rest)
            }
            _ => (1, parts.as_slice()),
        };
        let (start, period) = match rest {
            [only] | [only, _] if only.starts_with('P') => (now, period(only)?),
            [start, length] if length.starts_with('P') => (date(start)?, period(length)?),
            [start, end] => {
                let (start, end) = (date(start)?, date(end)?);
                (start, Period { months: 0, millis: end - start })
            }
            _ => return Err(invalid(text)),
        };
        if period.months == 0 && period.millis <= 0 {
            return Err(invalid(text));
        }
        Ok(Self { times, start, period })
    }

    /// The first repetition after `now`, or the last one if that is not over yet.
    fn next(&self, now: i64) -> Option<i64> {
        let at = if self.period.months == 0 {
            let steps = if now < self.start { 0 } else { (now - self.start) / self.period.millis + 1 };
            self.start.checked_add(steps.min(i64::from(self.times)).checked_mul(self.period.millis)?)?
        } else {
            let mut at = self.start;
            for _ in 0..self.times.min(MAX_REPEATS) {
                if at > now {
                    break;
                }
                at = self.period.after(at)?;
            }
            at
        };
        (at >= now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn durations_and_dates_are_read_as_the_reference_reads_them() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(date_or_duration(&TypedValue::string(text), 0).ok(), expect, "{text}");
        check("P100D", Some(100 * DAY));
        check("PT10M", Some(600_000));
        check("P1M", Some(31 * DAY));
        check("P1Y2DT1.5S", Some(367 * DAY + 1500));
        check("1970-01-02", Some(DAY));
        check("1970-01-02T00:00:01", Some(DAY + 1000));
        check("1970-01-02T00:00:00.000+0100", Some(DAY - 3_600_000));
        check("1970-01-02T00:00:00Z", Some(DAY));
        check("P", None);
        check("tomorrow", None);
    }

    #[test]
    fn a_cycle_ends_after_its_times() {
        let repeat = repeat_of(&TypedValue::string("R3/P100D"), 0);
        assert_eq!(repeat, "R3/1970-01-01T00:00:00/P100D");
        let check = |now: i64, expect: Option<i64>| assert_eq!(next_due(&repeat, now).unwrap(), expect, "{now}");
        check(0, Some(100 * DAY));
        check(100 * DAY, Some(200 * DAY));
        check(201 * DAY, Some(300 * DAY));
        check(301 * DAY, None);
    }

    #[test]
    fn cron_expressions_are_read_as_quartz_reads_them() {
        let check = |text: &str, expect: Option<i64>| {
            assert_eq!(first_due(TimerKind::Cycle, &TypedValue::string(text), 0).ok(), expect, "{text}");
        };
        // The beginning was a Thursday.
        check("0 0/5 * * * ?", Some(300_000));
        check("0 15 10 ? * *", Some(36_900_000));
        check("0 0 0 ? * 1", Some(3 * DAY));
        check("0 0 0 ? * FRI", Some(DAY));
        check("0 0 0 L * ?", Some(30 * DAY));
        check("0 0 12 3 1 ? 1971", Some(367 * DAY + DAY / 2));
        check("0 0 0 1 1 ? 1969", None);
        check("0 0 * * *", None);
        check("every day at noon", None);
        assert_eq!(next_due("0 0/5 * * * ?", 300_000).unwrap(), Some(600_000));
    }
}
