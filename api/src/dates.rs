//! Dates: `yyyy-MM-dd'T'HH:mm:ss.SSSZ` out, and a lenient form of it in (spec-batch-rest §5.3).

use chrono::{DateTime, Duration, FixedOffset, NaiveDate, Utc};
use serde_json::Value;
use shared::clock::Millis;

/// `2026-01-31T10:00:00.000+0000`.
#[must_use]
pub fn format(millis: Millis) -> String {
    DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default().format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
}

/// The same as JSON, null when there is none.
#[must_use]
pub fn json(millis: Option<Millis>) -> Value {
    millis.map_or(Value::Null, |m| Value::String(format(m)))
}

/// Reads the form above. Lenient as the reference is: fields that overflow roll over, what follows the zone is ignored,
/// `UTC` and `GMT±hh:mm` are zones. None for all else: no zone, no milliseconds, a date alone, ISO's `Z` or `+02:00`.
#[must_use]
pub fn parse(text: &str) -> Option<Millis> {
    let mut rest = text;
    let year = number(&mut rest, "-")?;
    let month = number(&mut rest, "-")?;
    let day = number(&mut rest, "T")?;
    let hour = number(&mut rest, ":")?;
    let minute = number(&mut rest, ":")?;
    let second = number(&mut rest, ".")?;
    let millis = number(&mut rest, "")?;
    let offset = zone(rest)?;
    let months = year.checked_mul(12)?.checked_add(month - 1)?;
    let first = NaiveDate::from_ymd_opt(i32::try_from(months.div_euclid(12)).ok()?, u32::try_from(months.rem_euclid(12)).ok()? + 1, 1)?;
    let time = first.and_hms_opt(0, 0, 0)?.checked_add_signed(Duration::try_days(day - 1)?)?;
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    let time = time.checked_add_signed(Duration::try_seconds(seconds)?)?.checked_add_signed(Duration::try_milliseconds(millis)?)?;
    Some(time.and_utc().timestamp_millis() - i64::from(offset) * 1000)
}

/// Digits (at most nine) and the mark after them.
fn number(rest: &mut &str, mark: &str) -> Option<i64> {
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if digits == 0 || digits > 9 {
        return None;
    }
    let (number, after) = rest.split_at(digits);
    *rest = after.strip_prefix(mark)?;
    number.parse().ok()
}

/// Seconds east of UTC.
fn zone(text: &str) -> Option<i32> {
    if let Some(rest) = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")) {
        let (sign, rest) = match rest.as_bytes().first() {
            Some(b'+') => (1, &rest[1..]),
            Some(b'-') => (-1, &rest[1..]),
            _ => return Some(0),
        };
        let (hours, minutes) = rest.split_once(':')?;
        let minutes: i32 = minutes.get(..2)?.parse().ok()?;
        return Some(sign * (hours.parse::<i32>().ok()? * 3600 + minutes * 60));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text.get(1..5).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)).map(|o| o.local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_and_print_as_the_reference_does() {
        let at = parse("2013-01-23T14:42:45.000+0200").unwrap();
        assert_eq!(format(at), "2013-01-23T12:42:45.000+0000");
        for same in [
            "2013-01-23T14:42:45.0+0200",
            "2013-01-23T14:42:45.000GMT+02:00",
            "2013-01-23T12:42:45.000UTC",
            "2013-01-23T12:42:45.000+0000 and more",
        ] {
            assert_eq!(parse(same), Some(at), "{same}");
        }
        assert_eq!(parse("2012-13-23T12:42:45.000+0000"), Some(at), "month 13 rolls over");
        for other in [
            "2013-01-23",
            "2013-01-23T12:42:45.000",
            "2013-01-23T12:42:45.000Z",
            "2013-01-23T12:42:45.000+02:00",
            "2013-01-23T12:42:45+0000",
            "1358944965000",
            "yesterday",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
