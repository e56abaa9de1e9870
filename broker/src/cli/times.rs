//! Times as people write them: how long ago, for how long, and when.

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long `90s`, `10m`, `2h` and `7d` are.
pub fn age_ms(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return None,
    };
    number(&text[..text.len() - 1])?.checked_mul(unit)
}

/// How long an ISO 8601 duration is, of days and what is shorter: `P7D`, `PT1H30M`, `P1DT0.5S`.
pub fn duration_ms(text: &str) -> Option<i64> {
    let (days, rest) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, rest)) if !rest.is_empty() => (days, rest),
        Some(_) => return None,
        None => (&text[1..], ""),
    };
    let mut sum_ms = 0_i64;
    let mut is_empty = true;
    for (mut left, units) in [
        (days, &[('D', DAY_MS)][..]),
        (rest, &[('H', HOUR_MS), ('M', MINUTE_MS), ('S', SECOND_MS)]),
    ] {
        for &(letter, unit_ms) in units {
            let Some((count, behind)) = left.split_once(letter) else { continue };
            let part_ms = match count.split_once('.') {
                Some((whole, fraction)) if letter == 'S' => {
                    number(whole)?.checked_mul(unit_ms)?.checked_add(milliseconds(fraction)?)?
                }
                _ => number(count)?.checked_mul(unit_ms)?,
            };
            sum_ms = sum_ms.checked_add(part_ms)?;
            is_empty = false;
            left = behind;
        }
        if !left.is_empty() {
            return None;
        }
    }
    (!is_empty).then_some(sum_ms)
}

/// Milliseconds since 1970 of a date, or of a date and a time: `2026-01-31`, `2026-01-31T08:30:00`,
/// `2026-01-31T08:30:00.250Z`, `2026-01-31T08:30:00+01:00`. Without a zone it is UTC.
pub fn timestamp_ms(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time),
        None => (text, "00:00:00"),
    };
    let mut fields = date.splitn(3, '-');
    let year = digits(fields.next()?, 4)?;
    let (month, day) = (digits(fields.next()?, 2)?, digits(fields.next()?, 2)?);
    let (time, zone_ms) = split_zone(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut fields = time.splitn(3, ':');
    let (hour, minute) = (digits(fields.next()?, 2)?, digits(fields.next()?, 2)?);
    let second = fields.next().map_or(Some(0), |second| digits(second, 2))?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let time_ms = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS;
    Some(days_since_1970(year, month, day) * DAY_MS + time_ms + milliseconds(fraction)? - zone_ms)
}

/// The time without its zone, and how far that is ahead of UTC.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = &zone[1..];
    let (hours, minutes) = match zone.split_once(':') {
        Some(fields) => fields,
        None => (zone.get(..2)?, zone.get(2..)?),
    };
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 2)? };
    Some((time, sign * (digits(hours, 2)? * HOUR_MS + minutes * MINUTE_MS)))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = |year: i64| {
        let years = year - 1;
        years * 365 + years / 4 - years / 100 + years / 400
    };
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    before(year) - before(1970) + months + day - 1
}

/// Of a fraction of a second, cut off behind the third digit.
fn milliseconds(fraction: &str) -> Option<i64> {
    number(fraction)?;
    let mut padded = fraction.to_owned();
    padded.push_str("000");
    number(&padded[..3])
}

/// Exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count).then(|| number(text)).flatten()
}

fn number(text: &str) -> Option<i64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_of_days_and_what_is_shorter() {
        for (text, want) in [
            ("P7D", Some(7 * DAY_MS)),
            ("PT1H30M", Some(90 * MINUTE_MS)),
            ("P1DT2H3M4S", Some(DAY_MS + 2 * HOUR_MS + 3 * MINUTE_MS + 4 * SECOND_MS)),
            ("PT0.25S", Some(250)),
            ("PT1.5M", None),
            ("P0D", Some(0)),
            ("PT90S", Some(90_000)),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("P1H", None),
            ("PT1M1H", None), // the longer comes first
            ("P1Y", None),    // and no year is as long as another
            ("7D", None),
            ("P-1D", None),
            ("P9223372036854775807D", None),
        ] {
            assert_eq!(duration_ms(text), want, "{text}");
        }
    }

    #[test]
    fn a_time_is_utc_unless_it_says_otherwise() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01.5", Some(1_500)),
            ("2026-11-22T03:37:00Z", Some(1_795_318_620_000)),
            ("2026-11-22T03:37:00.123456Z", Some(1_795_318_620_123)),
            ("2026-11-22T04:37:00+01:00", Some(1_795_318_620_000)),
            ("2026-11-22T02:07:00-0130", Some(1_795_318_620_000)),
            ("2026-11-22T04:37+01", Some(1_795_318_620_000)),
            ("2000-02-29", Some(951_782_400_000)),
            ("1900-02-29", None),
            ("2026-02-29", None),
            ("2024-12-31T23:59:59.999", Some(1_735_689_599_999)),
            ("1969-12-31", Some(-DAY_MS)),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-01-32", None),
            ("2026-01-01T24:00:00", None),
            ("2026-01-01T00:60:00", None),
            ("2026-1-1", None),
            ("26-01-01", None),
            ("2026-01-01T", None),
            ("2026-01-01T00:00:00+1", None),
            ("2026-01-01T00:00:00.", None),
            ("2026-01-01 00:00:00", None),
            ("now", None),
            ("", None),
            ("ö026-01-01", None),
        ] {
            assert_eq!(timestamp_ms(text), want, "{text}");
        }
    }
}
