//! When the next delivery goes out.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as there is room.
    Free,
    /// So long after the one before, at the least.
    Even { between: Duration, next: Option<Instant> },
    /// As long after the first as it was recorded, divided by a factor. What was recorded without a time goes at once.
    Recorded { speed: f64, first: Option<(Instant, Timestamp)> },
}

impl Pace {
    pub(super) fn new(rate: Option<f64>, speed: Option<f64>) -> Self {
        match (rate, speed) {
            (Some(rate), _) => Pace::Even { between: seconds(1.0 / rate), next: None },
            (None, Some(speed)) => Pace::Recorded { speed, first: None },
            (None, None) => Pace::Free,
        }
    }

    pub(super) async fn wait(&mut self, received_at: Option<Timestamp>) {
        match self {
            Pace::Free => {}
            Pace::Even { between, next } => {
                let now = Instant::now();
                let due = next.map_or(now, |next| next.max(now));
                *next = due.checked_add(*between).or(Some(due));
                sleep_until(due).await;
            }
            Pace::Recorded { speed, first } => {
                let Some(received_at) = received_at else { return };
                let (start, first) = *first.get_or_insert_with(|| (Instant::now(), received_at));
                let after = received_at.duration_since(first).as_secs_f64() / *speed;
                if let Some(due) = start.checked_add(seconds(after)) {
                    sleep_until(due).await;
                }
            }
        }
    }
}

/// None is negative; what is too long to be a time is as long as one can wait.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn times(mut pace: Pace, received_at: &[Option<i64>], working: Duration) -> Vec<u64> {
        let start = Instant::now();
        let mut times = Vec::new();
        for at in received_at {
            pace.wait(at.map(|second| Timestamp::from_second(second).unwrap())).await;
            times.push(u64::try_from(start.elapsed().as_millis()).unwrap());
            tokio::time::sleep(working).await;
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_never_exceeded_not_even_to_make_up_for_a_pause() {
        let none = [None; 4];
        assert_eq!(times(Pace::new(Some(10.0), None), &none, Duration::ZERO).await, [0, 100, 200, 300]);
        assert_eq!(times(Pace::new(Some(10.0), None), &none, Duration::from_millis(150)).await, [0, 150, 300, 450]);
        assert_eq!(times(Pace::new(None, None), &none, Duration::ZERO).await, [0; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn recorded_times_are_kept_and_divided() {
        let recorded = [Some(1000), Some(1060), None, Some(1030), Some(1120)];
        assert_eq!(
            times(Pace::new(None, Some(1.0)), &recorded, Duration::ZERO).await,
            [0, 60_000, 60_000, 60_000, 120_000]
        );
        assert_eq!(times(Pace::new(None, Some(60.0)), &recorded, Duration::ZERO).await, [0, 1000, 1000, 1000, 2000]);
        let late = times(Pace::new(None, Some(60.0)), &recorded, Duration::from_millis(900)).await;
        assert_eq!(late, [0, 1000, 1900, 2800, 3700], "what is late is not hurried");
    }
}
