//! Trying again, where that cannot do a thing twice.

use std::time::Duration;

use tokio::time::sleep;

use super::error::{Error, Reason};

/// How long is waited before the second, third and fourth try, unless the other side says how long.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Who asks for more is not waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// Retries a call until it succeeds, fails permanently, or has been tried four times. A call that is not `safe` (RFC
/// 9110, section 9.2.1) is retried only if it certainly had no effect. `waiting` is called before each wait.
pub(super) async fn retried<T, F: Future<Output = Result<T, Error>>>(
    safe: bool,
    waiting: fn(&Error, Duration),
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut waits = WAITS.into_iter();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(wait) = waits.next().filter(|_| may_be_repeated(safe, &error)) else { return Err(error) };
        let wait = error.reason.wait().unwrap_or(wait);
        if wait > LONGEST {
            return Err(error);
        }
        waiting(&error, wait);
        sleep(wait).await;
    }
}

fn may_be_repeated(safe: bool, error: &Error) -> bool {
    let not_carried_out = matches!(error.reason, Reason::Unreachable(_) | Reason::TooMany { .. });
    error.may_pass() && (safe || not_carried_out)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn failing(reason: &Reason) -> Error {
        Error { call: "GET /".into(), reason: reason.clone(), unsure: false }
    }

    fn failed(wait: Option<Duration>) -> Reason {
        Reason::Failed { status: 503, message: None, wait }
    }

    /// When the tries were made, in milliseconds, and how it ended.
    async fn tries(safe: bool, outcomes: &[Option<Reason>]) -> (Vec<u128>, Result<(), Reason>) {
        let begin = Instant::now();
        let at = RefCell::new(Vec::new());
        let result = retried(
            safe,
            |_, _| (),
            || {
                let outcome = outcomes[at.borrow().len().min(outcomes.len() - 1)].clone();
                at.borrow_mut().push(begin.elapsed().as_millis());
                async move { outcome.map_or(Ok(()), |reason| Err(failing(&reason))) }
            },
        )
        .await;
        (at.into_inner(), result.map_err(|error| error.reason))
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_is_tried_four_times_with_growing_waits() {
        for reason in [
            failed(None),
            Reason::Unreachable("refused".into()),
            Reason::BrokenOff("reset".into()),
            Reason::TimedOut(Duration::from_secs(1)),
            Reason::TooMany { wait: None },
        ] {
            let (at, result) = tries(true, &[Some(reason.clone())]).await;
            assert_eq!((at, result), (vec![0, 500, 1500, 3500], Err(reason)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn success_ends_it() {
        let (at, result) = tries(true, &[Some(failed(None)), None]).await;
        assert_eq!((at, result), (vec![0, 500], Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_repeated_only_if_it_surely_was_not_carried_out() {
        for reason in [failed(None), Reason::TimedOut(Duration::ZERO), Reason::BrokenOff(String::new())] {
            assert_eq!(tries(false, &[Some(reason.clone())]).await, (vec![0], Err(reason)));
        }
        for reason in [Reason::Unreachable(String::new()), Reason::TooMany { wait: None }] {
            assert_eq!(tries(false, &[Some(reason), None]).await, (vec![0, 500], Ok(())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_stays_wrong() {
        for reason in [
            Reason::KeyRefused(None),
            Reason::NotFound(None),
            Reason::Refused(422, None),
            Reason::NotJson(String::new()),
            Reason::Redirected(302),
        ] {
            assert_eq!(tries(true, &[Some(reason.clone())]).await, (vec![0], Err(reason)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_kept_to_and_too_long_a_wait_is_left_to_the_caller() {
        let patience = |seconds| Reason::TooMany { wait: Some(Duration::from_secs(seconds)) };
        assert_eq!(tries(false, &[Some(patience(7)), None]).await, (vec![0, 7000], Ok(())));
        assert_eq!(tries(true, &[Some(patience(31))]).await, (vec![0], Err(patience(31))));
        let busy = failed(Some(Duration::from_secs(3)));
        assert_eq!(tries(true, &[Some(busy), None]).await, (vec![0, 3000], Ok(())));
    }
}
