//! Numbers and texts of a report as people read them.

/// `1 fault`, `1,204 faults`.
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", thousands(count)),
    }
}

/// `99,980`
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (left, digit) in (1..=digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if left % 3 == 1 && left > 1 {
            text.push(',');
        }
    }
    text
}

/// A time in milliseconds, in three digits that matter: `4.2 ms`, `241 ms`, `1.24 s`, `2 min 5 s`, `3.5 h`.
#[must_use]
pub fn ms(time: f64) -> String {
    const HOUR: f64 = 3_600_000.0;
    match time {
        time if !time.is_finite() || time < 0.0 => none(),
        time if time < 9.95 => format!("{time:.1} ms"),
        time if time < 999.5 => format!("{time:.0} ms"),
        time if time < 9_995.0 => format!("{:.2} s", time / 1e3),
        time if time < 59_950.0 => format!("{:.1} s", time / 1e3),
        time if time < HOUR - 500.0 => {
            let seconds = (time / 1e3).round();
            match (seconds / 60.0).floor() {
                minutes if seconds % 60.0 == 0.0 => format!("{minutes:.0} min"),
                minutes => format!("{minutes:.0} min {:.0} s", seconds % 60.0),
            }
        }
        time if time < 48.0 * HOUR => format!("{:.1} h", time / HOUR),
        time if time < 36_500.0 * 24.0 * HOUR => format!("{:.1} d", time / HOUR / 24.0),
        _ => "over 100 years".to_owned(),
    }
}

/// A share in percent that never says 100 % of less than all.
#[must_use]
pub fn percent(share: f64) -> String {
    match share {
        share if !(0.0..=1.0).contains(&share) => none(),
        share if share >= 1.0 => "100 %".to_owned(),
        share => {
            let thousandths = (share * 1e5).floor() / 1e3;
            format!("{thousandths} %")
        }
    }
}

/// A text in one line, without what moves a cursor, ends a line or turns its direction.
#[must_use]
pub fn printable(text: &str) -> String {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if is_bad(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// What stands where there is no figure.
pub(super) fn none() -> String {
    "–".to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "it is shown in three digits")]
pub(super) fn as_float(number: u64) -> f64 {
    number as f64
}
