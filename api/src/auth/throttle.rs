//! Wrong logins are slowed down: those at one name after a few, and all of them together. Time comes from outside.
//!
//! Names are kept by a keyed hash in a table of fixed size: memory is bounded whatever is tried, a name that exists looks as
//! one that does not, and nobody can choose whom to share a place with. Whoever has logged in before is not asked again, so
//! that nobody is locked out of his work by somebody else who guesses.

use std::time::Duration;

use rand::RngExt;

use super::remembered::tag;

/// Wrong passwords in a row that cost nothing.
const FREE: u32 = 3;
/// The wait after the first that does; it doubles with each, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A name that was left alone for so long begins anew.
const FORGIVEN: Duration = Duration::from_secs(600);
/// Places of names.
const PLACES: usize = 4_096;
/// Wrong logins of everybody: so many at once, and so many a second.
const BURST: u32 = 100;
const PER_SECOND: u32 = 10;

#[derive(Clone, Copy, Default)]
struct Place {
    wrong: u32,
    last: Duration,
    blocked_until: Duration,
}

/// So many at once, and so many a second.
struct Bucket {
    used: f64,
    at: Duration,
}

pub(super) struct Throttle {
    key: [u8; 32],
    places: Vec<Place>,
    passwords: Bucket,
    tokens: Bucket,
}

impl Throttle {
    pub(super) fn new() -> Self {
        let full = || Bucket { used: 0.0, at: Duration::ZERO };
        Self { key: rand::rng().random(), places: vec![Place::default(); PLACES], passwords: full(), tokens: full() }
    }

    /// How long a password for this name must wait; None: it may be tried.
    pub(super) fn wait(&mut self, name: &str, now: Duration) -> Option<Duration> {
        let place = *self.place(name);
        let of_name = place.blocked_until.saturating_sub(now);
        let wait = of_name.max(self.passwords.wait(now));
        (!wait.is_zero()).then_some(wait)
    }

    pub(super) fn wrong(&mut self, name: &str, now: Duration) {
        self.passwords.add(now);
        let place = self.place(name);
        if now.saturating_sub(place.last) > FORGIVEN {
            place.wrong = 0;
        }
        place.wrong = place.wrong.saturating_add(1);
        place.last = now;
        if place.wrong > FREE {
            let doubled = FIRST_WAIT.saturating_mul(1 << (place.wrong - FREE - 1).min(16));
            place.blocked_until = now + doubled.min(LONGEST_WAIT);
        }
    }

    pub(super) fn right(&mut self, name: &str) {
        *self.place(name) = Place::default();
    }

    /// A wrong token; how long the next one should wait, if there were too many.
    pub(super) fn wrong_token(&mut self, now: Duration) -> Option<Duration> {
        let wait = self.tokens.wait(now);
        if wait.is_zero() {
            self.tokens.add(now);
            return None;
        }
        Some(wait)
    }

    fn place(&mut self, name: &str) -> &mut Place {
        let hash = tag(&self.key, &[name.as_bytes()]);
        let at = usize::from(u16::from_le_bytes([hash[0], hash[1]])) % self.places.len();
        &mut self.places[at]
    }
}

impl Bucket {
    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.used = (self.used - passed * f64::from(PER_SECOND)).max(0.0);
        self.at = now;
    }

    fn wait(&mut self, now: Duration) -> Duration {
        self.refill(now);
        let over = self.used + 1.0 - f64::from(BURST);
        if over <= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(over / f64::from(PER_SECOND)) }
    }

    fn add(&mut self, now: Duration) {
        self.refill(now);
        self.used += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_at_one_name_doubles_to_its_bound_and_ends() {
        let mut throttle = Throttle::new();
        for _ in 0..FREE {
            throttle.wrong("ann", S);
        }
        assert_eq!(throttle.wait("ann", S), None);
        let mut waits = vec![];
        let mut now = S;
        for _ in 0..8 {
            throttle.wrong("ann", now);
            let wait = throttle.wait("ann", now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(throttle.wait("ann", now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        throttle.right("ann");
        throttle.wrong("ann", now);
        assert_eq!(throttle.wait("ann", now), None);
    }

    #[test]
    fn all_names_together_have_a_bound_too_and_memory_does_not_grow() {
        let mut throttle = Throttle::new();
        let tried = (0..100_000).take_while(|n| {
            let name = format!("user {n}");
            let free = throttle.wait(&name, S).is_none();
            throttle.wrong(&name, S);
            free
        });
        let tried = tried.count();
        assert!(tried <= BURST as usize, "{tried}");
        assert!(throttle.wait("somebody else", S).is_some());
        assert_eq!(throttle.wait("somebody else", S + Duration::from_secs(20)), None);
        assert_eq!(throttle.places.len(), PLACES);
    }

    #[test]
    fn wrong_tokens_slow_down_wrong_tokens_alone() {
        let mut throttle = Throttle::new();
        let answered = (0..1_000).filter(|_| throttle.wrong_token(S).is_none()).count();
        assert_eq!(answered, BURST as usize);
        assert_eq!(throttle.wait("ann", S), None);
    }
}
