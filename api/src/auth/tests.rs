use axum::http::HeaderValue;

use super::users::tests::cheap;
use super::*;

fn authenticator() -> Authenticator {
    let text = format!("ann {} tenants=north\nbob {} tenants=* read-only", cheap("pässword:1"), hash_token("t0ken"));
    Authenticator::new(&text).unwrap()
}

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

fn basic(name: &str, password: &str) -> HeaderMap {
    headers(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"))))
}

#[tokio::test]
async fn a_password_or_a_token_names_its_user() {
    let a = authenticator();
    assert_eq!(a.caller(&basic("ann", "pässword:1")).await.unwrap().user.as_deref(), Some("ann"));
    let bob = a.caller(&headers("bearer t0ken")).await.unwrap();
    assert_eq!((bob.user.as_deref(), bob.read_only), (Some("bob"), true));
    let long = "x".repeat(10_000);
    for wrong in [
        HeaderMap::new(),
        basic("ann", "other"),
        basic("ann", &long),
        basic("bob", "t0ken"),
        basic("nobody", "pässword:1"),
        headers("Bearer other"),
        headers(&format!("Bearer {long}")),
        headers("Basic ???"),
        headers("Digest x"),
        headers("Basic"),
        headers(""),
    ] {
        assert_eq!(a.caller(&wrong).await, Err(Denied::Unknown), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_guessed_at_is_slowed_down_and_whoever_works_under_it_is_not() {
    let a = authenticator();
    a.caller(&basic("ann", "pässword:1")).await.unwrap();
    let mut slowed = None;
    for n in 0..10 {
        if let Err(Denied::TooMany(wait)) = a.caller(&basic("ann", &format!("guess {n}"))).await {
            slowed = Some((n, wait));
            break;
        }
    }
    let (n, wait) = slowed.expect("guessing is slowed down");
    assert!(n <= 4 && wait > Duration::from_millis(100), "{n} {wait:?}");
    a.caller(&basic("ann", "pässword:1")).await.expect("who has logged in before is not asked again");
    assert_eq!(a.caller(&basic("zoe", "guess")).await, Err(Denied::Unknown), "other names are not slowed down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logins_is_bounded_and_nobody_at_work_waits_for_it() {
    let a = Arc::new(authenticator());
    a.caller(&basic("ann", "pässword:1")).await.unwrap();
    let flood = (0..500).map(|n| {
        let a = a.clone();
        async move { a.caller(&basic(&format!("user {n}"), "guess")).await }
    });
    let flood = futures::future::join_all(flood);
    let work = async {
        let begun = Instant::now();
        a.caller(&basic("ann", "pässword:1")).await.unwrap();
        a.caller(&headers("Bearer t0ken")).await.unwrap();
        begun.elapsed()
    };
    let (answers, _) = tokio::join!(flood, work);
    let count = |wanted: fn(&Denied) -> bool| answers.iter().filter(|a| a.as_ref().err().is_some_and(wanted)).count();
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 0);
    assert!(count(|d| *d == Denied::Busy) >= 300, "{answers:?}");
    assert!(count(|d| *d == Denied::Unknown) <= WAITING, "{answers:?}");
}

#[test]
fn an_api_beyond_loopback_needs_users_or_is_told_that_it_needs_none() {
    let settings = |users: Option<&str>, open| Settings {
        auth_users: users.map(|u| u.parse().unwrap()),
        allow_unauthenticated: open,
        ..Settings::defaults()
    };
    for loopback in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(Authenticator::of(&settings(None, false), loopback.parse().unwrap()).unwrap().is_none());
    }
    for beyond in ["0.0.0.0:80", "[::]:80", "192.168.1.1:80"] {
        let beyond = beyond.parse().unwrap();
        let error = Authenticator::of(&settings(None, false), beyond).err().unwrap().to_string();
        assert!(
            ["AUTH_FILE", "AUTH_USERS", "ALLOW_UNAUTHENTICATED", "drover user hash"].iter().all(|said| error.contains(said)),
            "{error}"
        );
        assert!(Authenticator::of(&settings(None, true), beyond).unwrap().is_none());
        let users = format!("ann {} tenants=*", hash_token("x"));
        assert!(Authenticator::of(&settings(Some(&users), false), beyond).unwrap().is_some());
    }
}

#[test]
fn a_hash_that_is_made_here_is_taken_here() {
    let hash = hash_password("correct horse").unwrap();
    password::check_hash(&hash).unwrap();
    assert!(password::is_right("correct horse", &hash) && !password::is_right("correct", &hash));
    assert!(hash.starts_with("$argon2id$") && !hash.contains(char::is_whitespace) && !hash.contains([';', '#']));
    assert_ne!(hash, hash_password("correct horse").unwrap(), "each has a salt of its own");
    assert!(hash_password("").is_err());
}
