//! Days and hours of UTC, for the names of files and the times of access logs.
//!
//! Source: the algorithms of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

use crate::model::Timestamp;

const DAY_SECONDS: i64 = 86_400;
const HOUR_SECONDS: i64 = 3_600;

/// Days from 1970-01-01 to a day of the Gregorian calendar. Months and days count from 1.
pub(super) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The name of the hour in which a time lies, such as `2026-11-27T23`.
pub(super) fn hour(time: Timestamp) -> String {
    let seconds = time.0.div_euclid(1_000);
    let hour = seconds.rem_euclid(DAY_SECONDS) / HOUR_SECONDS;
    let from_era = seconds.div_euclid(DAY_SECONDS) + 719_468;
    let (era, of_era) = (from_era.div_euclid(146_097), from_era.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_by_the_calendar() {
        for ((year, month, day), since) in [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2026, 11, 27), 20_784)] {
            assert_eq!(days(year, month, day), since);
            let time = Timestamp((since * DAY_SECONDS + 23 * HOUR_SECONDS + 59) * 1_000 + 999);
            assert_eq!(hour(time), format!("{year:04}-{month:02}-{day:02}T23"));
        }
        assert_eq!(hour(Timestamp(-1)), "1969-12-31T23");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097 {
            let name = hour(Timestamp(day * DAY_SECONDS * 1_000));
            let parts =
                name.trim_end_matches("T00").split('-').map(|part| part.parse::<i64>().unwrap()).collect::<Vec<_>>();
            assert_eq!(days(parts[0], parts[1], parts[2]), day);
        }
    }
}
