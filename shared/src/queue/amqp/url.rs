//! What a broker's URL says when its owner did not.

/// Heartbeat: a dead host is noticed after two missed ones, 8 s. frame_max: lapin keeps 64 frames of buffers per
/// connection. connection_timeout in milliseconds.
const DEFAULTS: [(&str, &str); 3] = [("heartbeat", "4"), ("frame_max", "32768"), ("connection_timeout", "5000")];

/// The URL with those parameters that it does not set itself.
pub(super) fn with_defaults(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in DEFAULTS {
        let query = url.split_once('?').map(|(_, query)| query.to_owned());
        if query.as_deref().is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some(name))) {
            continue;
        }
        url.push(match query.as_deref() {
            None => '?',
            Some("") => ' ',
            Some(_) => '&',
        });
        url = format!("{}{name}={value}", url.trim_end());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_parameters_win() {
        let all = "heartbeat=4&frame_max=32768&connection_timeout=5000";
        assert_eq!(with_defaults("amqp://host"), format!("amqp://host?{all}"));
        assert_eq!(with_defaults("amqp://host/%2f?"), format!("amqp://host/%2f?{all}"));
        let url = "amqp://host/v?heartbeat=30&frame_max=8192&connection_timeout=1";
        assert_eq!(with_defaults(url), url);
        assert_eq!(with_defaults("amqp://h?frame_max=8192"), "amqp://h?frame_max=8192&heartbeat=4&connection_timeout=5000");
    }
}
