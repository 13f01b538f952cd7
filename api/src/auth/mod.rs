//! Who asks: HTTP Basic and bearer tokens, turned into the [`Caller`] that every verb takes.
//!
//! Users stand in AUTH_FILE or AUTH_USERS ([`users`]). A password that was right once is remembered by a keyed hash, so that
//! argon2 is paid once and not on each request; wrong ones are slowed down ([`throttle`]), those at work are not. All of it is
//! bounded: attempts at once, attempts that wait, what is remembered. No comparison takes a time that tells of a secret: secrets
//! are looked up by a hash with a key of this process. No user, no password and no token is logged.

mod password;
mod remembered;
mod throttle;
mod users;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use shared::config::Settings;
use shared::store::Caller;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::error::ApiError;
use remembered::Remembered;
use throttle::Throttle;
use users::Users;

pub use password::{hash_password, hash_token};

/// Passwords that are held against their hash at once: each takes up to [`password::MAX_MEMORY_KIB`].
const VERIFICATIONS: usize = 2;
/// Passwords that wait for their turn; more are told to come again.
const WAITING: usize = 64;
/// The longest user name and secret, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 1_024;
/// As the reference's: the realm is the engine's name.
const CHALLENGE: &str = "Basic realm=\"default\"";

/// The users of an API and what it remembers of their logins. Shared by all requests.
pub struct Authenticator {
    users: Users,
    remembered: Mutex<Remembered>,
    throttle: Mutex<Throttle>,
    turns: Semaphore,
    waiting: Semaphore,
    since: Instant,
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// No credentials, or wrong ones.
    Unknown,
    /// Too many wrong ones lately: to be asked again after so long.
    TooMany(Duration),
    /// Too many at once.
    Busy,
}

impl Authenticator {
    /// The users that the settings name; None: there are none, and everybody may do everything.
    ///
    /// # Errors
    /// A file that cannot be read or understood; or nobody is named and the API is to listen beyond loopback.
    pub fn of(settings: &Settings, listen: SocketAddr) -> anyhow::Result<Option<Arc<Self>>> {
        if let Some(text) = settings.users()? {
            return Ok(Some(Arc::new(Self::new(&text)?)));
        }
        anyhow::ensure!(
            settings.allow_unauthenticated || is_loopback(listen),
            "the API is to listen on {listen}, beyond this machine, and nobody has to log in: name its users with AUTH_FILE or AUTH_USERS \
             (`drover user hash` and `drover user token` make the lines), or listen on 127.0.0.1 (LISTEN_ADDR), or, if what stands in front \
             decides who may come in, set ALLOW_UNAUTHENTICATED=true"
        );
        Ok(None)
    }

    /// Users as lines of text.
    ///
    /// # Errors
    /// Names the line that is none.
    pub fn new(text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            users: Users::parse(text)?,
            remembered: Mutex::new(Remembered::new()),
            throttle: Mutex::new(Throttle::new()),
            turns: Semaphore::new(VERIFICATIONS),
            waiting: Semaphore::new(WAITING),
            since: Instant::now(),
        })
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Denied::Unknown)?;
        let (scheme, rest) = given.split_once(' ').unwrap_or((given, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.by_token(rest.trim());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Denied::Unknown);
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| Denied::Unknown)?;
        let text = String::from_utf8(decoded).map_err(|_| Denied::Unknown)?;
        let (name, password) = text.split_once(':').ok_or(Denied::Unknown)?;
        if name.len() > MAX_CREDENTIAL_BYTES || password.len() > MAX_CREDENTIAL_BYTES {
            return Err(Denied::Unknown);
        }
        self.by_password(name, password).await
    }

    /// A token costs one hash, and so is looked at before anybody is slowed down.
    fn by_token(&self, token: &str) -> Result<Caller, Denied> {
        if token.len() <= MAX_CREDENTIAL_BYTES
            && let Some(caller) = self.users.of_token(token)
        {
            return Ok(caller);
        }
        self.throttle().wrong_token(self.now()).map_or(Err(Denied::Unknown), |wait| Err(Denied::TooMany(wait)))
    }

    async fn by_password(&self, name: &str, password: &str) -> Result<Caller, Denied> {
        let remembered = self.remembered().find(name, password);
        if let Some(caller) = remembered {
            return Ok(caller);
        }
        self.may_try(name)?;
        let _place = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| Denied::Busy)?;
        // Others may have tried the same name while this one waited.
        self.may_try(name)?;
        // Nobody of this name costs as much as a wrong password.
        let (hash, caller) = self.users.of_name(name);
        let given = password.to_owned();
        let right = tokio::task::spawn_blocking(move || password::is_right(&given, &hash)).await.unwrap_or(false);
        match caller.filter(|_| right) {
            Some(caller) => {
                self.throttle().right(name);
                self.remembered().add(name, password, &caller);
                Ok(caller)
            }
            None => {
                self.throttle().wrong(name, self.now());
                Err(Denied::Unknown)
            }
        }
    }

    fn may_try(&self, name: &str) -> Result<(), Denied> {
        self.throttle().wait(name, self.now()).map_or(Ok(()), |wait| Err(Denied::TooMany(wait)))
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does it listen to this machine alone?
#[must_use]
pub fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

/// The middleware: adds the [`Caller`] to the request, or answers 401 (429, 503).
pub async fn authenticate(State(authenticator): State<Arc<Authenticator>>, mut request: Request, next: Next) -> Response {
    match authenticator.caller(request.headers()).await {
        Ok(caller) => {
            metrics::counter!("drover_logins_total", "outcome" => "ok").increment(1);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => {
            metrics::counter!("drover_logins_total", "outcome" => denied.label()).increment(1);
            denied.into_response()
        }
    }
}

impl Denied {
    fn label(self) -> &'static str {
        match self {
            Self::Unknown => "denied",
            Self::TooMany(_) => "slowed",
            Self::Busy => "busy",
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown => {
                let message = "Log in with HTTP Basic or a bearer token; the user or the secret given is not known here";
                let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "NotAuthorizedException", message, None).into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
                response
            }
            Self::TooMany(wait) => {
                let seconds = wait.as_secs() + 1;
                let message = format!("Too many failed logins; try again in {seconds} s");
                let mut response = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "NotAuthorizedException", message, None).into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::Busy => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "RestException", "Too many logins at once; send the request again", None)
                    .into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests;
